"""Two processes publish from one outbox (the order service's api and worker), and one of them stands still."""

import signal

import pytest

from faults.harness import Rig
from faults.server_admin import eventually
from tests.faults.customers import Customers

ORDERS = 24


@pytest.mark.parametrize("point", ["before publish", "before confirm"])
def test_two_relays(rig: Rig, customers: Customers, point: str) -> None:
    """One stands still in the middle of a batch, the other publishes it, the first wakes up: each order's events come
    in their order, but for repetitions."""
    first = rig.said("audit").count("\n")
    rig.arm("order-api", point, 2, signal.SIGSTOP)
    with customers.ordering(ORDERS, seconds=2, cancelling=0):
        eventually(lambda: rig.sprung("order-api") and rig.stands_still("order-api"))
        waited_for = rig.waiting()
        eventually(lambda: not rig.waiting(), 60, "the other one did not take over")
        rig.thaw("order-api")
    assert waited_for
    took_over = [line for line in rig.said("order-worker").splitlines() if "published order.created" in line]
    assert took_over
    if point == "before publish":
        # Its lease had ended: what it held is no longer its own to publish.
        orders = {_order(line) for line in took_over}
        published = [line for line in rig.said("order-api").splitlines() if "published order.created" in line]
        assert orders.isdisjoint(_order(line) for line in published[-len(orders) :])
    eventually(lambda: _ended(_heard(rig, first)), 120, "audit has not heard the end of every order")
    for reference, types in _heard(rig, first).items():
        numbered = rig.sql(
            "SELECT type FROM audit.events WHERE reference = $1 AND source = '/warren/order' ORDER BY sequence",
            reference,
        )
        assert types == [row[0] for row in numbered], reference


def _heard(rig: Rig, first: int) -> dict[str, list[str]]:
    """What audit, which nobody disturbed, has processed of what the two publish, by order, as it came."""
    heard: dict[str, list[str]] = {}
    for line in rig.said("audit").splitlines()[first:]:
        if "processed order." in line:
            heard.setdefault(_order(line), []).append(line.split("processed ")[1].split()[0])
    return heard


def _ended(heard: dict[str, list[str]]) -> bool:
    return len(heard) == ORDERS and all({"order.completed", "order.cancelled"} & set(types) for types in heard.values())


def _order(line: str) -> str:
    return line.split("order=")[1].split(maxsplit=1)[0]
