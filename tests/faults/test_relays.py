"""Two processes publish from one outbox (the order service's api and worker), and one of them is frozen."""

import signal

import pytest

from faults.harness import FaultHarness, eventually
from tests.faults.customers import Customers

ORDERS = 24


@pytest.mark.parametrize("point", ["before publish", "before confirm"])
def test_a_second_relay_takes_over_from_a_frozen_one(harness: FaultHarness, customers: Customers, point: str) -> None:
    """A relay is suspended within a batch, another one publishes the batch, then the first continues. Apart from
    repetitions, the events of each order arrive in order."""
    first_line = harness.log("audit").count("\n")
    harness.set_failpoint("order-api", point, 2, signal.SIGSTOP)
    with customers.ordering(ORDERS, seconds=2, cancelling=0):
        eventually(lambda: harness.failpoint_hit("order-api") and harness.is_frozen("order-api"))
        held = harness.outbox_size()
        eventually(lambda: not harness.outbox_size(), 60, "the other relay did not take over")
        harness.thaw("order-api")
    assert held
    taken_over = _published(harness, "order-worker")
    assert taken_over
    if point == "before publish":
        # Its lease has ended, so that it must not publish what it held.
        assert set(taken_over).isdisjoint(_published(harness, "order-api")[-len(set(taken_over)) :])
    eventually(lambda: _all_ended(_processed(harness, first_line)), 120, "audit misses the end of some order")
    for reference, types in _processed(harness, first_line).items():
        numbered = harness.sql(
            "SELECT type FROM audit.events WHERE reference = $1 AND source = '/warren/order' ORDER BY sequence",
            reference,
        )
        assert types == [row[0] for row in numbered], reference


def _published(harness: FaultHarness, name: str) -> list[str]:
    """References of the orders whose creation a process has published."""
    return [_reference(line) for line in harness.log(name).splitlines() if "published order.created" in line]


def _processed(harness: FaultHarness, first_line: int) -> dict[str, list[str]]:
    """The order service's events that audit has processed, by order, as they arrived."""
    types: dict[str, list[str]] = {}
    for line in harness.log("audit").splitlines()[first_line:]:
        if "processed order." in line:
            types.setdefault(_reference(line), []).append(line.split("processed ")[1].split()[0])
    return types


def _all_ended(processed: dict[str, list[str]]) -> bool:
    final = {"order.completed", "order.cancelled"}
    return len(processed) == ORDERS and all(final & set(types) for types in processed.values())


def _reference(line: str) -> str:
    return line.split("reference=")[1].split(maxsplit=1)[0]
