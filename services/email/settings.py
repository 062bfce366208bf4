"""Settings of the email service."""

from pathlib import Path

from services.shared.chassis.settings import DownstreamSettings, Port, Seconds, is_loopback
from warren_messaging.errors import ConfigurationError
from warren_messaging.settings import ConnectionCount, Days


class EmailSettings(DownstreamSettings, frozen=True, kw_only=True):
    smtp_host: str
    smtp_port: Port
    smtp_ca_file: Path | None = None
    """The CA of the mail server, for STARTTLS. Without it, mail goes unencrypted, and only to a server on this
    machine."""
    smtp_credentials: Path | None = None
    """Folder with the files `username` and `password`; not set: no login."""
    smtp_sender: str = "Warren <orders@warren.localhost>"
    smtp_seconds: Seconds = 15.0
    """The longest time for one mail."""
    smtp_connections: ConnectionCount = 4
    """Concurrent mails, each on its own connection."""
    deliveries_days: Days = 90
    """How long delivery records are kept."""

    def __post_init__(self) -> None:
        if self.smtp_ca_file is None and not is_loopback(self.smtp_host):
            raise ConfigurationError(
                f"settings: WARREN_SMTP_HOST={self.smtp_host!r} is another machine, and mail to it must be encrypted:"
                " set WARREN_SMTP_CA_FILE"
            )
        if "@" not in self.smtp_sender or not self.smtp_sender.isprintable():
            raise ConfigurationError(f"settings: WARREN_SMTP_SENDER={self.smtp_sender!r} is not a mail address")
