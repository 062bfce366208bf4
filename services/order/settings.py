"""Settings of the two processes."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from services.shared.chassis.http.auth import AuthSettings
from services.shared.chassis.settings import Days, ProcessSettings, Seconds

SHIPPED_PRICES = Path(__file__).with_name("prices.json")


class ApiSettings(AuthSettings, frozen=True, kw_only=True):
    prices_file: Path = SHIPPED_PRICES
    payment_deadline_seconds: Seconds = 900.0
    """How long after it was placed an order may stay unpaid."""
    outbox_limit: Annotated[int, Meta(ge=0)] = 100_000
    """With more events than this waiting for the broker, no order is taken."""


class WorkerSettings(ProcessSettings, frozen=True, kw_only=True):
    deadline_tick_seconds: Seconds = 1.0
    """How often orders past their deadline are looked for."""
    idempotency_days: Days = 30
    """How long a repeated request is recognized by its Idempotency-Key."""
