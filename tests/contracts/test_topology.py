"""The topology files bring each service exactly the events that its handlers know, no more and no fewer."""

from collections.abc import Mapping
from typing import Any

import pytest

import broker_topology
from services.inventory.handlers import HANDLERS as INVENTORY
from services.notification.handlers import HANDLERS as NOTIFICATION
from services.order.handlers import HANDLERS as ORDER
from services.payment.handlers import handlers as payment
from services.shared.contracts import CATALOGUE
from services.shipping.handlers import HANDLERS as SHIPPING
from warren.local.system import QUEUES
from warren.local.topology import TOPOLOGY

TABLES: dict[str, Mapping[Any, Any]] = {
    "order.queue": ORDER,
    "inventory.queue": INVENTORY,
    "payment.queue": payment(None),  # type: ignore[arg-type]
    "shipping.queue": SHIPPING,
    "notification.queue": NOTIFICATION,
}


def bound(queue: str, exchange: str = "workflow.exchange") -> set[str]:
    return {
        binding.routing_key
        for loaded in broker_topology.load([TOPOLOGY])
        for binding in loaded.topology.spec.bindings
        if binding.source == exchange and binding.queue == queue
    }


@pytest.mark.parametrize("queue", TABLES)
def test_a_queue_is_bound_to_what_its_handlers_handle(queue: str) -> None:
    assert bound(queue) == {data.TYPE for data in TABLES[queue]}


def test_every_event_is_handled_by_somebody() -> None:
    handled = {data.TYPE for table in TABLES.values() for data in table}
    assert handled | {"notification.requested"} == set(CATALOGUE)


def test_every_queue_that_the_runner_waits_for_is_declared() -> None:
    declared = {name for loaded in broker_topology.load([TOPOLOGY]) for name in loaded.topology.spec.queues}
    assert set(QUEUES) <= declared
    assert {queue.replace(".queue", ".dlq") for queue in QUEUES} <= declared
