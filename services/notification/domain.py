"""What the customer hears of an order, and once only.

Events arrive in any order, so news may come before `order.created`, which alone says where the customer can be
reached. Such news waits in the conversation and is told as soon as that is known.
"""

import re
from collections.abc import Iterable
from uuid import UUID

from services.notification.wording import words
from services.shared.contracts import AnyEvent
from services.shared.contracts.notifications import NotificationRequested
from services.shared.contracts.orders import Contact, OrderCreated

EXPIRES_MS = 24 * 60 * 60 * 1000
"""After a day the customer has seen the order elsewhere, and old news only confuses."""

Telling = tuple[AnyEvent, NotificationRequested]
"""The event that is told of, and the message."""

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_+-]+(\.[A-Za-z0-9_+-]+)*")


class Conversation:
    """What one customer knows about one order. `contact` is None until it is known; `told` are event types."""

    def __init__(
        self,
        order: UUID,
        *,
        customer: str | None = None,
        contact: Contact | None = None,
        told: Iterable[str] = (),
        waiting: Iterable[AnyEvent] = (),
    ) -> None:
        self.order = order
        self.customer = customer
        self.contact = contact
        self.told = set(told)
        self.waiting = {event.type: event for event in waiting}

    def introduce(self, created: OrderCreated, domain: str | None) -> list[Telling]:
        """Learn whom to tell; returns what waited for that, oldest first. Later introductions change nothing."""
        if self.contact is not None:
            return []
        self.customer = created.customer
        self.contact = contact_of(created, domain)
        waiting, self.waiting = self.waiting, {}
        tellings: list[Telling] = []
        for event in sorted(waiting.values(), key=lambda each: (each.time, each.id)):
            tellings += self.hear(event)
        return tellings

    def hear(self, event: AnyEvent) -> list[Telling]:
        """Some news: told at once, kept until the customer is known, or nothing if told or not worth telling."""
        said = words(event)
        if said is None or event.type in self.told:
            return []
        if self.contact is None or self.customer is None:
            self.waiting.setdefault(event.type, event)
            return []
        self.told.add(event.type)
        message = NotificationRequested(
            customer=self.customer, contact=self.contact, topic=event.type, title=said.title, text=said.text
        )
        return [(event, message)]


def contact_of(created: OrderCreated, domain: str | None) -> Contact:
    """What the customer gave, or else a mail address made of the customer's name and `domain`.

    A name that is not a plain mail name gets none: it must not be able to reach into the address.
    """
    given = created.contact
    if given.email or given.phone or not domain:
        return given
    if len(created.customer) > 64 or not _PLAIN_NAME.fullmatch(created.customer):
        return given
    return Contact(email=f"{created.customer}@{domain}")
