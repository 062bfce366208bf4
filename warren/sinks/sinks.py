"""Both sinks, started and stopped together."""

import ssl
from pathlib import Path
from types import TracebackType
from typing import Self

from warren.sinks.mail import MailSink
from warren.sinks.sms import LOOPBACK, SmsSink


class Sinks:
    """Both sinks, started and stopped together. See MailSink and SmsSink for whom they refuse."""

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
        also = {"mails": lambda: self.mail.mails}
        self.sms = SmsSink(host=host, port=sms_port, folder=folder, tls=tls if sms_tls else None, also=also)

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
