"""What the shipping service says."""

from typing import ClassVar

from services.shared.contracts.values import Name
from warren_messaging.events import EventData


class ShippingPrepared(EventData, frozen=True, kw_only=True, rename="camel"):
    """The parcel has left our hands: from here on cancelling is refused."""

    TYPE: ClassVar[str] = "shipping.prepared"
    tracking: Name


class ShippingDelivered(EventData, frozen=True, kw_only=True, rename="camel"):
    TYPE: ClassVar[str] = "shipping.delivered"
    tracking: Name


class ShippingStopped(EventData, frozen=True, kw_only=True, rename="camel"):
    """Answer to `order.cancelling`: nothing has left and nothing will."""

    TYPE: ClassVar[str] = "shipping.stopped"


class ShippingRefused(EventData, frozen=True, kw_only=True, rename="camel"):
    """Answer to `order.cancelling`: too late, the parcel has left."""

    TYPE: ClassVar[str] = "shipping.refused"
    tracking: Name


EVENTS = (ShippingPrepared, ShippingDelivered, ShippingStopped, ShippingRefused)
