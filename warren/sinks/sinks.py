"""Both sinks, started and stopped together."""

import ssl
from pathlib import Path

from warren.sinks.mail import MailSink
from warren.sinks.sink import LOOPBACK, Startable
from warren.sinks.sms import SmsSink


class Sinks(Startable):
    """A mail sink and an SMS sink, started and stopped together."""

    def __init__(
        self,
        *,
        host: str = LOOPBACK,
        mail_port: int = 0,
        sms_port: int = 0,
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

    def start(self) -> None:
        """Raises OSError if a port is taken; then no sink is running."""
        self.mail.start()
        try:
            self.sms.start()
        except OSError:
            self.mail.stop()
            raise

    def stop(self) -> None:
        self.sms.stop()
        self.mail.stop()
