"""Settings of the sms service."""

from pathlib import Path
from urllib.parse import urlsplit

from services.shared.chassis.settings import DownstreamSettings, Seconds, is_loopback
from warren_messaging.errors import ConfigurationError
from warren_messaging.settings import ConnectionCount, Days


class SmsSettings(DownstreamSettings, frozen=True, kw_only=True):
    sms_url: str
    """https://…; plain http only to this machine."""
    sms_ca_file: Path | None = None
    """The CA of the gateway; not set: the system's trusted CAs."""
    sms_token_file: Path | None = None
    """The gateway's bearer token, read again for each message; not set: no token."""
    sms_seconds: Seconds = 10.0
    """Timeout of one call, for the connection and for each part of the response."""
    sms_connections: ConnectionCount = 8
    """Concurrent messages."""
    deliveries_days: Days = 90
    """How long delivery records are kept."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.sms_url)
        if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            raise ConfigurationError(
                f"settings: WARREN_SMS_URL={self.sms_url!r} leads to another machine, and messages to it must be"
                " encrypted: use https"
            )
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigurationError(f"settings: WARREN_SMS_URL={self.sms_url!r} is not an http address")
