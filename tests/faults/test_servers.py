"""The servers stop, crash and come back while orders are placed."""

import pytest

from faults.harness import FaultHarness, eventually
from services.registry import QUEUES
from tests.faults.customers import Customers


@pytest.mark.parametrize("how", [pytest.param("restarts", marks=pytest.mark.long), "crashes"])
def test_the_broker_keeps_confirmed_messages(harness: FaultHarness, customers: Customers, how: str) -> None:
    """Every consumer comes back."""
    harness.processes.stop("shipping")
    kept = [customers.order("item4") for _ in range(4)]
    eventually(lambda: harness.queue_depth("shipping.queue") == len(kept) and not harness.outbox_size("payment"))
    with customers.ordering(24, seconds=3):
        if how == "restarts":
            harness.servers.broker.rabbitmqctl("stop_app")
            harness.servers.broker.rabbitmqctl("start_app")
        else:
            eventually(lambda: customers.are_busy)
            harness.crash_broker()
        eventually(lambda: harness.queue_depth("shipping.queue") >= len(kept), 60, "confirmed messages are lost")
        harness.start_service("shipping")
        eventually(lambda: all(harness.consumers()[queue] for queue in QUEUES), 60, "some consumer did not come back")
    for order_id in kept:
        harness.wait_for_state(order_id, "COMPLETED", 120)


def test_a_crash_of_the_database_counts_as_no_failure(harness: FaultHarness, customers: Customers) -> None:
    """No delivery stays unacknowledged, and no failure of a message is recorded."""
    failures = harness.failure_counts()
    with customers.ordering(24, seconds=3):
        eventually(lambda: customers.are_busy)
        harness.servers.postgres.restart(kill=True)
    eventually(harness.is_idle, 120)
    eventually(lambda: not any(map(harness.queue_depth, QUEUES)), 60, "some delivery was not acknowledged")
    assert harness.failure_counts() == failures
