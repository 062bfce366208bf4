"""Settings of the payment service."""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit, urlunsplit

from msgspec import Meta

from services.shared.chassis.settings import DownstreamSettings
from warren_messaging.postgres.database import DatabaseAddress

GATEWAY_ROLE = "gateway"


class PaymentSettings(DownstreamSettings, frozen=True, kw_only=True):
    payment_concurrency: Annotated[int, Meta(ge=1, le=1000)] = 16
    """Concurrent calls to the gateway; the process holds twice as many deliveries."""
    gateway_database_password_file: Path
    """Password of the role `gateway`, which owns only the tables of the simulated gateway."""
    gateway_database_url: str = ""
    """postgresql://gateway@host:port/database; empty: the service's own database, with the role `gateway`."""
    gateway_latency_ms: Annotated[float, Meta(ge=0)] = 0
    """Minimum duration of each call to the simulated gateway."""
    gateway_timeout_seconds: Annotated[float, Meta(gt=0, le=20)] = 3.0
    """Timeout of one call to the gateway."""

    @property
    def gateway_database(self) -> DatabaseAddress:
        parts = urlsplit(self.database_url)
        own = urlunsplit(parts._replace(netloc=f"{GATEWAY_ROLE}@{parts.netloc.rpartition('@')[2]}"))
        url = self.gateway_database_url or own
        return DatabaseAddress(url, self.gateway_database_password_file, self.database_ca_file)
