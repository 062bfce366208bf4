"""What the shipping service can be told beyond what every process can."""

from typing import Annotated

from msgspec import Meta

from services.shared.chassis.settings import ProcessSettings
from services.shipping.domain import Pace


class Settings(ProcessSettings, frozen=True, kw_only=True):
    preparation_seconds: Annotated[float, Meta(ge=0, le=30 * 86400)] = 0
    """How long a paid parcel waits before it leaves, and can still be stopped; 0: it leaves at once."""
    carrier_seconds: Annotated[float, Meta(ge=-1, le=30 * 86400)] = -1
    """How long the simulated carrier takes to confirm delivery; 0: at once; below 0: only the customer confirms."""

    @property
    def pace(self) -> Pace:
        return Pace(self.preparation_seconds, self.carrier_seconds if self.carrier_seconds >= 0 else None)
