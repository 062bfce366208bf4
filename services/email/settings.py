"""Settings of the email service."""

from pathlib import Path

from services.shared.chassis.settings import ConnectionCount, Days, Port, ProcessSettings, Seconds
from warren_messaging.errors import ConfigurationError

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Settings(ProcessSettings, frozen=True, kw_only=True):
    smtp_host: str
    smtp_port: Port
    smtp_ca_file: Path | None = None
    """The CA that vouches for the mail server, spoken to with STARTTLS. Without it only a server on this machine
    is spoken to, in the clear."""
    smtp_credentials: Path | None = None
    """Folder with the files `username` and `password`; not set: no login."""
    smtp_sender: str = "Warren <orders@warren.localhost>"
    smtp_seconds: Seconds = 15.0
    """The longest that one mail may take."""
    smtp_connections: ConnectionCount = 4
    """Mails under way at one time, each on a connection of its own."""
    deliveries_days: Days = 90
    """How long the record of what was sent is kept."""

    def __post_init__(self) -> None:
        if self.smtp_ca_file is None and self.smtp_host not in LOOPBACK:
            raise ConfigurationError(
                f"settings: WARREN_SMTP_HOST={self.smtp_host!r} is another machine, and addresses must not travel"
                " in the clear: set WARREN_SMTP_CA_FILE"
            )
        if "@" not in self.smtp_sender or not self.smtp_sender.isprintable():
            raise ConfigurationError(f"settings: WARREN_SMTP_SENDER={self.smtp_sender!r} is not a mail address")
