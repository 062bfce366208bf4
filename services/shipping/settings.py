"""Settings of the shipping service."""

from typing import Annotated

from msgspec import Meta

from services.shared.chassis.settings import ProcessSettings
from services.shipping.domain import Delays


class ShippingSettings(ProcessSettings, frozen=True, kw_only=True):
    preparation_seconds: Annotated[float, Meta(ge=0, le=30 * 86400)] = 0
    """How long a paid parcel waits before it leaves, and can be stopped; 0: it leaves at once."""
    carrier_seconds: Annotated[float, Meta(ge=-1, le=30 * 86400)] = -1
    """How long the simulated carrier takes to deliver; 0: no time; below 0: only the customer confirms a delivery."""

    @property
    def delays(self) -> Delays:
        return Delays(self.preparation_seconds, self.carrier_seconds if self.carrier_seconds >= 0 else None)
