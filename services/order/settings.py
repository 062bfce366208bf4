"""Settings of the order service's two processes."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from services.order.placement_store import PaymentTerms
from services.shared.chassis.http.auth import AuthSettings
from services.shared.chassis.settings import ProcessSettings, Seconds
from warren_messaging.settings import Days

DEFAULT_PRICES_FILE = Path(__file__).with_name("prices.json")


class ApiSettings(AuthSettings, frozen=True, kw_only=True):
    prices_file: Path = DEFAULT_PRICES_FILE
    payment_deadline_seconds: Seconds = 900.0
    """An order that is unpaid for this time is cancelled."""
    payment_reminder_seconds: Annotated[float, Meta(ge=0, le=30 * 86400)] = 300.0
    """The customer of an order that is unpaid for this time is reminded, if its deadline is later; 0: no reminder."""
    outbox_limit: Annotated[int, Meta(ge=0)] = 100_000
    """New orders are refused while the outbox has more events than this."""

    @property
    def payment_terms(self) -> PaymentTerms:
        return PaymentTerms(self.payment_deadline_seconds, self.payment_reminder_seconds)


class WorkerSettings(ProcessSettings, frozen=True, kw_only=True):
    deadline_tick_seconds: Seconds = 1.0
    """Interval between two searches for orders whose payment deadline has passed."""
    idempotency_days: Days = 30
    """How long idempotency keys are kept."""
