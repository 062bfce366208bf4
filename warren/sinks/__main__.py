"""The mail sink, the SMS sink and the trace store as one program, for demos and tests.

    python -m warren.sinks --mail-port 2525 --sms-port 8025 --traces-port 4318 --folder /some/folder

GET /messages on the SMS port lists the mails and text messages received since the start; the folder stores them as JSON
lines. The trace store is the value of OTEL_EXPORTER_OTLP_ENDPOINT, answers Jaeger's query API, and keeps the newest
traces in 64 MiB of memory. Exits with 0 on SIGTERM and SIGINT.
"""

import argparse
import os
import signal
import ssl
import sys
import threading
from pathlib import Path

import structlog

from services.shared.chassis import logs
from warren.sinks.sink import LOOPBACK
from warren.sinks.sinks import Sinks


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m warren.sinks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default=LOOPBACK, help="the address to listen on; default: %(default)s")
    parser.add_argument("--mail-port", type=int, default=0, help="0, the default, takes any free port")
    parser.add_argument("--sms-port", type=int, default=0, help="0, the default, takes any free port")
    parser.add_argument("--traces-port", type=int, help="of the trace store; 0 takes a free one; default: no store")
    parser.add_argument("--folder", type=Path, help="where mails.jsonl and sms.jsonl are written")
    parser.add_argument("--certificate", type=Path, help="PEM chain; with --key, mail is taken after STARTTLS only")
    parser.add_argument("--key", type=Path)
    parser.add_argument("--sms-tls", action="store_true", help="SMS and the listing over https, with that certificate")
    options = parser.parse_args()
    if (options.certificate is None) != (options.key is None):
        parser.error("--certificate and --key belong together")
    if options.sms_tls and options.key is None:
        parser.error("--sms-tls needs --certificate and --key")
    tls = None
    if options.key is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(options.certificate, options.key)
    logs.configure("sinks", log_format=logs.requested_format(os.environ), level="info")
    log = structlog.get_logger()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        with Sinks(
            host=options.host,
            mail_port=options.mail_port,
            sms_port=options.sms_port,
            traces_port=options.traces_port,
            folder=options.folder,
            tls=tls,
            sms_tls=options.sms_tls,
        ) as sinks:
            traces = None if sinks.traces is None else sinks.traces.url
            mail = f"{sinks.mail.host}:{sinks.mail.port}"
            log.info("listening", mail=mail, sms_and_listing=sinks.sms.url, traces=traces)
            stop.wait()
    except OSError as error:
        log.critical("cannot start", reason=str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
