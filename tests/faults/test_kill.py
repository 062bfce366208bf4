"""kill -9 at every point where a process holds something that the others do not know yet."""

import pytest

from loadtest.faults.rig import Rig
from tests.faults.customers import Customers

WHO = {
    "before commit": ("order-api", "inventory", "payment", "order-worker"),
    "before publish": ("order-api", "inventory", "payment", "shipping"),
    "before confirm": ("order-api", "inventory", "payment", "order-worker"),
    "before removal": ("order-api", "inventory", "payment", "shipping"),
    "before ack": ("inventory", "payment", "order-worker", "audit"),
    "before result": ("payment", "email"),
}


@pytest.mark.parametrize("point", WHO)
def test_killed(rig: Rig, customers: Customers, point: str) -> None:
    with customers.ordering(24, seconds=2):
        for nth, name in enumerate(WHO[point], start=1):
            rig.arm(name, point, nth)
        for name in WHO[point]:
            rig.dies(name)
            rig.revive(name)
