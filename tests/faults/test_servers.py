"""The servers stop, crash and come back while orders are placed."""

import pytest

from faults.harness import Rig
from faults.server_admin import eventually
from services.registry import QUEUES
from tests.faults.customers import Customers


@pytest.mark.parametrize("how", [pytest.param("restarts", marks=pytest.mark.long), "crashes"])
def test_the_broker(rig: Rig, customers: Customers, how: str) -> None:
    """What it had confirmed is there afterwards, and every consumer comes back."""
    rig.processes.stop("shipping")
    kept = [customers.order("item4") for _ in range(4)]
    eventually(lambda: rig.depth("shipping.queue") == len(kept) and not rig.waiting("payment"))
    with customers.ordering(24, seconds=3):
        if how == "restarts":
            rig.servers.broker.rabbitmqctl("stop_app")
            rig.servers.broker.rabbitmqctl("start_app")
        else:
            eventually(lambda: customers.are_busy)
            rig.crash_broker()
        eventually(lambda: rig.depth("shipping.queue") >= len(kept), 60, "what was confirmed is gone")
        rig.revive("shipping")
        eventually(lambda: all(rig.consumers()[queue] for queue in QUEUES), 60, "some consumer did not come back")
    for order in kept:
        eventually(lambda order=order: rig.orders(f"id = '{order}' AND state = 'COMPLETED'"), 120)


def test_the_database_crashes(rig: Rig, customers: Customers) -> None:
    """Nothing stays with a consumer unacknowledged, and no message is blamed."""
    blamed = rig.blamed()
    with customers.ordering(24, seconds=3):
        eventually(lambda: customers.are_busy)
        rig.servers.postgres.restart(kill=True)
    eventually(rig.at_rest, 120)
    eventually(lambda: not any(rig.depth(queue) for queue in QUEUES), 60, "some delivery was not acknowledged")
    assert rig.blamed() == blamed, "a server that is away is no message's fault"
