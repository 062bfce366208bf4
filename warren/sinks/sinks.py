"""The sinks, started and stopped together."""

import ssl
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from warren.sinks.mail import MailSink
from warren.sinks.sink import LOOPBACK, Startable
from warren.sinks.sms import SmsSink

if TYPE_CHECKING:
    from warren.sinks.traces import TraceSink


class Sinks(Startable):
    """A mail sink and an SMS sink, and with `traces_port` a trace store, started and stopped together."""

    def __init__(
        self,
        *,
        host: str = LOOPBACK,
        mail_port: int = 0,
        sms_port: int = 0,
        traces_port: int | None = None,
        folder: Path | None = None,
        tls: ssl.SSLContext | None = None,
        sms_tls: bool = False,
    ) -> None:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self.mail = MailSink(host=host, port=mail_port, folder=folder, tls=tls)
        sms_tls_context = tls if sms_tls else None
        mails = {"mails": lambda: self.mail.messages}
        self.sms = SmsSink(host=host, port=sms_port, folder=folder, tls=sms_tls_context, more_lists=mails)

        self.traces = None if traces_port is None else _trace_sink(host, traces_port)
        self._running = ExitStack()

    def start(self) -> None:
        """Raises OSError if a port is taken; then no sink is running."""
        with ExitStack() as running:
            for sink in (self.mail, self.sms, self.traces):
                if sink is not None:
                    running.enter_context(sink)
            self._running = running.pop_all()

    def stop(self) -> None:
        self._running.close()


def _trace_sink(host: str, port: int) -> "TraceSink":
    from warren.sinks.traces import TraceSink  # noqa: PLC0415 - its libraries take memory that few sinks need

    return TraceSink(host=host, port=port)
