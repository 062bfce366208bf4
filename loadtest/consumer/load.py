"""The messages both sides get and say: events of the size that the shop's have."""

import random
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from services.shared.contracts import AnyEvent, Event, EventData
from services.shared.contracts.orders import Contact, Line, OrderConfirmed, OrderCreated
from warren_messaging import codec

CUSTOMER = "customer-00042"


def created(chance: random.Random, sender: str) -> bytes:
    """An `order.created` of an order of its own, about 700 bytes, published by the broker user `sender`."""
    data = OrderCreated(
        customer=CUSTOMER,
        lines=[Line("mug", chance.randint(1, 3)), Line("green-tea", 1)],
        total_cents=chance.randint(500, 9000),
        currency="EUR",
        payment_token="tok_ok",  # noqa: S106 - a name for a means of payment
        contact=Contact(email=f"{CUSTOMER}@customers.example"),
    )
    return codec.encode(_event(data, sender, UUID(int=chance.getrandbits(128), version=4)))


def confirmed() -> bytes:
    """What the probe answers with, as large as its own."""
    identity = codec.new_id()
    return codec.encode(_event(OrderConfirmed(customer=CUSTOMER), "probe", identity, causationid=identity))


def _event(data: EventData, sender: str, subject: UUID, **fields: Any) -> AnyEvent:
    identity = codec.new_id()
    return Event(
        specversion="1.0",
        id=identity,
        source=f"/warren/{sender}",
        type=data.TYPE,
        subject=subject,
        time=datetime.now(UTC),
        logicalid=identity,
        sourcesequence=1,
        data=data,
        **fields,
    )
