"""What the notification service asks its channel workers to deliver."""

from typing import ClassVar

from services.shared.contracts.orders import Contact
from services.shared.contracts.values import Name, Prose
from warren_messaging.events import EventData


class NotificationRequested(EventData, frozen=True, kw_only=True, rename="camel"):
    """One message to one customer. Every channel worker receives it and delivers it if `contact` has an
    address for its channel. `topic` is the event that it tells of."""

    TYPE: ClassVar[str] = "notification.requested"
    customer: Name
    contact: Contact
    topic: Name
    title: Prose
    text: Prose


EVENTS = (NotificationRequested,)
