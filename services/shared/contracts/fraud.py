"""Events of the fraud service."""

from typing import Annotated, ClassVar

import msgspec

from services.shared.contracts.values import Name, Prose
from warren_messaging.events import EventData

Points = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
"""How suspicious something is. The points of the rules that apply to an order are added up."""


class AppliedRule(msgspec.Struct, frozen=True, rename="camel"):
    """A rule that applies to an order, with the reason in words."""

    name: Name
    points: Points
    reason: Prose


class FraudFlagged(EventData, frozen=True, kw_only=True, rename="camel"):
    """The order's score has reached the threshold: the fraud service requests its cancellation."""

    TYPE: ClassVar[str] = "fraud.flagged"
    customer: Name
    score: Points
    threshold: Points
    rules: list[AppliedRule]


EVENTS = (FraudFlagged,)
