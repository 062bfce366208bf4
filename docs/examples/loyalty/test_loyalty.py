"""The example's handlers without broker and database: a subclass replaces `load` and `save`.

tests/system/test_examples.py checks the SQL on a running system.
"""

from collections.abc import Sequence
from functools import partial
from uuid import UUID, uuid4

import pytest

from docs.examples.loyalty.domain import Earning
from docs.examples.loyalty.handlers import HANDLERS
from docs.examples.loyalty.store import Earnings
from services.shared.contracts import AnyEvent
from services.shared.contracts.orders import OrderCompleted, OrderPaid
from warren_messaging import Connection
from warren_messaging.testing import ConsumerHarness, event_of

COMPLETED = OrderCompleted(customer="ada")


class Remembered(Earnings):
    """Earnings in a dictionary instead of a table."""

    def __init__(self, connection: Connection, table: dict[UUID, Earning]) -> None:
        super().__init__(connection)
        self._table = table

    async def load(self, events: Sequence[AnyEvent]) -> None:
        self._earnings = {event.subject: self._table.get(event.subject, Earning(event.subject)) for event in events}

    async def save(self) -> None:
        self._table |= {order_id: self._earnings[order_id] for order_id in self._changed}


def paid(cents: int) -> OrderPaid:
    return OrderPaid(customer="ada", total_cents=cents, currency="EUR")


async def test_a_completed_order_earns_a_point_per_euro() -> None:
    table: dict[UUID, Earning] = {}
    order = uuid4()
    harness = ConsumerHarness(HANDLERS, partial(Remembered, table=table))
    await harness.deliver(event_of(paid(1999), subject=order))
    assert table[order].points == 0
    await harness.deliver(event_of(COMPLETED, subject=order))
    assert table[order].points == 19


@pytest.mark.parametrize("seed", range(5))
async def test_reordered_and_repeated_events_give_the_same_points(seed: int) -> None:
    table: dict[UUID, Earning] = {}
    orders = [uuid4() for _ in range(20)]
    events = [event_of(data, subject=order) for order in orders for data in (paid(1000), COMPLETED)]
    harness = ConsumerHarness(HANDLERS, partial(Remembered, table=table))
    await harness.deliver(*events, copies=3, seed=seed)
    assert {order: earning.points for order, earning in table.items()} == dict.fromkeys(orders, 10)
    assert harness.parked == []
