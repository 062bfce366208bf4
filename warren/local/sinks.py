"""Where mails and text messages end in demos and tests: both sinks, as one program.

    python -m warren.local.sinks --mail-port 2525 --sms-port 8025 --folder /some/folder

GET /messages on the SMS port lists the mails and the text messages received since the start; the folder keeps them
as JSON lines. Ends with 0 on SIGTERM and SIGINT.
"""

import argparse
import signal
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from warren.local.certificates import ServerCertificate
from warren.local.mail_sink import MailSink, ReceivedMail
from warren.local.ports import LOOPBACK
from warren.local.sms_sink import ReceivedSms, SmsSink

__all__ = ["MailSink", "ReceivedMail", "ReceivedSms", "Sinks", "SmsSink"]


class Sinks:
    """Both sinks, started and stopped together. See MailSink and SmsSink for whom they refuse."""

    def __init__(
        self,
        *,
        host: str = LOOPBACK,
        mail_port: int = 0,
        sms_port: int = 0,
        folder: Path | None = None,
        certificate: ServerCertificate | None = None,
        sms_tls: bool = False,
    ) -> None:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self.mail = MailSink(host=host, port=mail_port, folder=folder, certificate=certificate)
        also = {"mails": lambda: self.mail.mails}
        self.sms = SmsSink(
            host=host, port=sms_port, folder=folder, certificate=certificate if sms_tls else None, also=also
        )

    def start(self) -> None:
        """Raises OSError when a port is taken; then neither runs."""
        self.mail.start()
        try:
            self.sms.start()
        except OSError:
            self.mail.stop()
            raise

    def stop(self) -> None:
        self.sms.stop()
        self.mail.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m warren.local.sinks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default=LOOPBACK, help="where to listen; default: %(default)s, this machine only")
    parser.add_argument("--mail-port", type=int, default=0, help="0, the default, takes any free port")
    parser.add_argument("--sms-port", type=int, default=0, help="0, the default, takes any free port")
    parser.add_argument("--folder", type=Path, help="where mails.jsonl and sms.jsonl are written")
    parser.add_argument("--certificate", type=Path, help="PEM chain; with --key, mail is taken after STARTTLS only")
    parser.add_argument("--key", type=Path)
    parser.add_argument("--sms-tls", action="store_true", help="SMS and the listing over https, with that certificate")
    options = parser.parse_args()
    if (options.certificate is None) != (options.key is None):
        parser.error("--certificate and --key belong together")
    if options.sms_tls and options.key is None:
        parser.error("--sms-tls needs --certificate and --key")
    certificate = None if options.key is None else ServerCertificate(options.certificate, options.key)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        with Sinks(
            host=options.host,
            mail_port=options.mail_port,
            sms_port=options.sms_port,
            folder=options.folder,
            certificate=certificate,
            sms_tls=options.sms_tls,
        ) as sinks:
            started = datetime.now(UTC).strftime("%H:%M:%S.%f")[:12]
            where = f"mail at {sinks.mail.host}:{sinks.mail.port}, SMS and listing at {sinks.sms.url}"
            print(f"{started} {'sinks':<12} {where}", flush=True)
            stop.wait()
    except OSError as error:
        sys.exit(f"sinks: cannot start: {error}")


if __name__ == "__main__":
    main()
