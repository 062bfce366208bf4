"""Events of the shipping service."""

from typing import ClassVar

from services.shared.contracts.values import Name
from warren_messaging.events import EventData


class ShippingPrepared(EventData, frozen=True, kw_only=True, rename="camel"):
    """The parcel has left: a later cancellation is refused."""

    TYPE: ClassVar[str] = "shipping.prepared"
    tracking: Name


class ShippingDelivered(EventData, frozen=True, kw_only=True, rename="camel"):
    TYPE: ClassVar[str] = "shipping.delivered"
    tracking: Name


class ShippingStopped(EventData, frozen=True, kw_only=True, rename="camel"):
    """Answer to `order.cancelling`: the parcel has not left and will not leave."""

    TYPE: ClassVar[str] = "shipping.stopped"


class ShippingRefused(EventData, frozen=True, kw_only=True, rename="camel"):
    """Answer to `order.cancelling`: the parcel has left."""

    TYPE: ClassVar[str] = "shipping.refused"
    tracking: Name


EVENTS = (ShippingPrepared, ShippingDelivered, ShippingStopped, ShippingRefused)
