"""Settings of the order service's two processes."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from services.shared.chassis.http.auth import AuthSettings
from services.shared.chassis.settings import Days, ProcessSettings, Seconds

SHIPPED_PRICES = Path(__file__).with_name("prices.json")


class ApiSettings(AuthSettings, frozen=True, kw_only=True):
    prices_file: Path = SHIPPED_PRICES
    payment_deadline_seconds: Seconds = 900.0
    """How long an order may stay unpaid before it is cancelled."""
    outbox_limit: Annotated[int, Meta(ge=0)] = 100_000
    """Orders are refused while more events than this wait for the broker."""


class WorkerSettings(ProcessSettings, frozen=True, kw_only=True):
    deadline_tick_seconds: Seconds = 1.0
    """Interval of the search for orders past their deadline."""
    idempotency_days: Days = 30
    """How long idempotency keys are kept."""
