"""The events of both sides, as large as the shop's."""

import random
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from services.shared.contracts import AnyEvent, Event, EventData
from services.shared.contracts.orders import Contact, Line, OrderConfirmed, OrderCreated
from warren_messaging import codec

CUSTOMER = "customer-00042"


def created(rng: random.Random, sender: str) -> bytes:
    """Encode an `order.created` of a new order, about 700 bytes, as the broker user `sender` publishes it."""
    data = OrderCreated(
        customer=CUSTOMER,
        lines=[Line("mug", rng.randint(1, 3)), Line("green-tea", 1)],
        total_cents=rng.randint(500, 9000),
        currency="EUR",
        payment_token="tok_ok",  # noqa: S106 - not a secret
        contact=Contact(email=f"{CUSTOMER}@customers.example"),
    )
    return codec.encode(_event(data, sender, UUID(int=rng.getrandbits(128), version=4)))


def confirmed() -> bytes:
    """Encode an `order.confirmed` as large as the one that the probe publishes."""
    order_id = codec.new_id()
    return codec.encode(_event(OrderConfirmed(customer=CUSTOMER), "probe", order_id, causationid=order_id))


def _event(data: EventData, sender: str, subject: UUID, **fields: Any) -> AnyEvent:
    event_id = codec.new_id()
    return Event(
        specversion="1.0",
        id=event_id,
        source=f"/warren/{sender}",
        type=data.TYPE,
        subject=subject,
        time=datetime.now(UTC),
        logicalid=event_id,
        sourcesequence=1,
        data=data,
        **fields,
    )
