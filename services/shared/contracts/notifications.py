"""Events of the notification service, consumed by the channel services."""

from typing import ClassVar

from services.shared.contracts.orders import Contact
from services.shared.contracts.values import Name, Prose
from warren_messaging.events import EventData


class NotificationRequested(EventData, frozen=True, kw_only=True, rename="camel"):
    """One message to one customer. Every channel receives it, and delivers it if `contact` has an address for the
    channel. `topic` is the type of the event that it reports."""

    TYPE: ClassVar[str] = "notification.requested"
    customer: Name
    contact: Contact
    topic: Name
    title: Prose
    text: Prose


EVENTS = (NotificationRequested,)
