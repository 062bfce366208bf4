"""Settings of the fraud service."""

from typing import Annotated

from msgspec import Meta

from services.fraud.domain import RuleLimits
from services.shared.chassis.settings import ProcessSettings


class FraudSettings(ProcessSettings, frozen=True, kw_only=True):
    fraud_threshold: Annotated[int, Meta(ge=1, le=1_000_000)] = 100
    """Score from which an order is flagged and cancelled."""
    fraud_high_value_cents: Annotated[int, Meta(ge=1, le=2**53)] = 100_000
    """Total from which an order counts as valuable; ten times as much as very valuable."""
    fraud_many_pieces: Annotated[int, Meta(ge=1, le=2**53)] = 100
    """Pieces of one article from which an order counts as large."""
    fraud_orders_per_hour: Annotated[int, Meta(ge=1, le=10_000)] = 20
    """Orders of one customer within an hour from which each further one is suspicious."""
    assessments_days: Annotated[int, Meta(ge=1, le=3650)] = 90
    """How long an assessment, with the customer's name, is kept."""

    @property
    def limits(self) -> RuleLimits:
        return RuleLimits(
            threshold=self.fraud_threshold,
            high_value_cents=self.fraud_high_value_cents,
            many_pieces=self.fraud_many_pieces,
            orders_per_hour=self.fraud_orders_per_hour,
        )
