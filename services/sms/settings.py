"""Settings of the sms service."""

from pathlib import Path
from urllib.parse import urlsplit

from services.shared.chassis.settings import ConnectionCount, Days, ProcessSettings, Seconds
from warren_messaging.errors import ConfigurationError

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Settings(ProcessSettings, frozen=True, kw_only=True):
    sms_url: str
    """https://…; plain http only to this machine."""
    sms_ca_file: Path | None = None
    """The CA that vouches for the gateway; not set: the authorities that the system trusts."""
    sms_token_file: Path | None = None
    """The gateway's bearer token, read again for each message; not set: none is sent."""
    sms_seconds: Seconds = 10.0
    """The longest that the gateway may keep us waiting, for the connection and for each part of its answer."""
    sms_connections: ConnectionCount = 8
    """Messages under way at one time."""
    deliveries_days: Days = 90
    """How long the record of what was sent is kept."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.sms_url)
        if parts.scheme == "http" and parts.hostname not in LOOPBACK:
            raise ConfigurationError(
                f"settings: WARREN_SMS_URL={self.sms_url!r} leads to another machine, and telephone numbers must not"
                " travel in the clear: use https"
            )
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigurationError(f"settings: WARREN_SMS_URL={self.sms_url!r} is not an http address")
