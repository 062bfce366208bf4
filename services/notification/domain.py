"""The notifications of one order: each event is notified once.

Events arrive in any order, and only `order.created` has the customer's contact. Earlier events wait in the log until
the contact is set.
"""

import re
from collections.abc import Iterable
from uuid import UUID

from services.notification.templates import render
from services.shared.contracts import AnyEvent
from services.shared.contracts.notifications import NotificationRequested
from services.shared.contracts.orders import Contact, OrderCancelled, OrderCreated, OrderPaid, OrderPaymentReminder

EXPIRES_MS = 24 * 60 * 60 * 1000
"""A notification that is a day old would only confuse: the customer knows the order's state from elsewhere."""

ENDS_WAITING = frozenset({OrderPaid.TYPE, OrderCancelled.TYPE})
"""Events after which a payment reminder would be wrong: it was due at the moment of the payment or the cancellation."""

Notification = tuple[AnyEvent, NotificationRequested]
"""The event, and the message about it."""

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_+-]+(\.[A-Za-z0-9_+-]+)*")


class NotificationLog:
    """`contact` is None until `order.created` arrives. `notified` has event types, `waiting` events by type."""

    def __init__(
        self,
        order_id: UUID,
        *,
        customer: str | None = None,
        contact: Contact | None = None,
        notified: Iterable[str] = (),
        waiting: Iterable[AnyEvent] = (),
    ) -> None:
        self.order_id = order_id
        self.customer = customer
        self.contact = contact
        self.notified = set(notified)
        self.waiting = {event.type: event for event in waiting}

    def set_contact(self, created: OrderCreated, domain: str | None) -> list[Notification]:
        """Sets the contact once, and returns the notifications that waited for it, oldest first."""
        if self.contact is not None:
            return []
        self.customer = created.customer
        self.contact = contact_of(created, domain)
        waiting, self.waiting = self.waiting, {}
        notifications: list[Notification] = []
        for event in sorted(waiting.values(), key=lambda each: (each.time, each.id)):
            notifications += self.on_event(event)
        return notifications

    def on_event(self, event: AnyEvent) -> list[Notification]:
        """Returns the notification of an event: none if it has no template, was notified before, or must wait."""
        text = render(event)
        if text is None or event.type in self.notified:
            return []
        if event.type == OrderPaymentReminder.TYPE and self.notified & ENDS_WAITING:
            return []
        if self.contact is None or self.customer is None:
            self.waiting.setdefault(event.type, event)
            return []
        self.notified.add(event.type)
        message = NotificationRequested(
            customer=self.customer, contact=self.contact, topic=event.type, title=text.title, text=text.body
        )
        return [(event, message)]


def contact_of(created: OrderCreated, domain: str | None) -> Contact:
    """The contact of the order, or else a mail address made of the customer's name and `domain`.

    A name that is not a plain mail name gets no address: it could inject one of its own.
    """
    given = created.contact
    if given.email or given.phone or not domain:
        return given
    if len(created.customer) > 64 or not _PLAIN_NAME.fullmatch(created.customer):
        return given
    return Contact(email=f"{created.customer}@{domain}")
