"""What the payment service can be told beyond what every process can."""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit, urlunsplit

from msgspec import Meta

from services.shared.chassis.settings import ProcessSettings
from warren_messaging.postgres.database import DatabaseAddress

GATEWAY_ROLE = "gateway"


class Settings(ProcessSettings, frozen=True, kw_only=True):
    payment_concurrency: Annotated[int, Meta(ge=1, le=1000)] = 16
    """Calls to the gateway under way at one time; twice as many deliveries are held."""
    gateway_database_password_file: Path
    """Password of the role `gateway`, which owns the simulated gateway's ledger and nothing else."""
    gateway_database_url: str = ""
    """postgresql://gateway@host:port/database; empty: the service's own database, as the role `gateway`."""
    gateway_latency_ms: Annotated[float, Meta(ge=0)] = 0
    """How long each call to the simulated gateway takes at least."""
    gateway_timeout_seconds: Annotated[float, Meta(gt=0, le=20)] = 3.0
    """How long one call to the gateway may take before its answer counts as lost."""

    @property
    def gateway_database(self) -> DatabaseAddress:
        url = self.gateway_database_url or _as_role(self.database_url, GATEWAY_ROLE)
        return DatabaseAddress(url, self.gateway_database_password_file, self.database_ca_file)


def _as_role(url: str, role: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{role}@{parts.netloc.rpartition('@')[2]}"))
