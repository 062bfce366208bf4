"""Two processes publish from one outbox (the order service's api and worker), and one of them stands still."""

import signal

import pytest

from loadtest.faults.office import eventually
from loadtest.faults.rig import Rig
from tests.faults.customers import Customers


@pytest.mark.parametrize("point", ["before publish", "before confirm"])
def test_two_relays(rig: Rig, customers: Customers, point: str) -> None:
    rig.arm("order-api", point, 2, signal.SIGSTOP)
    with customers.ordering(12, seconds=1, cancelling=0):
        eventually(lambda: rig.sprung("order-api") and rig.stands_still("order-api"))
        waited_for = rig.waiting()
        eventually(lambda: not rig.waiting(), 20, "the other one did not take over")
        rig.thaw("order-api")
    assert waited_for
    took_over = [line for line in rig.said("order-worker").splitlines() if "published order.created" in line]
    assert took_over
    if point == "before publish":
        # Its lease had ended: what it held is no longer its own to publish.
        orders = {line.split("order=")[1].split()[0] for line in took_over}
        published = [line for line in rig.said("order-api").splitlines() if "published order.created" in line]
        assert orders.isdisjoint(line.split("order=")[1].split()[0] for line in published[-len(orders) :])
