"""SIGTERM under load."""

import random
import time
from concurrent.futures import ThreadPoolExecutor

from faults.harness import DATABASE, REPEATED, FaultHarness, eventually
from services.registry import PROCESSES
from tests.faults.customers import Customers

GRACE_SECONDS = 15.0


def parking_lot_depths(harness: FaultHarness) -> dict[str, int]:
    return {queue: depth for queue, depth in harness.queue_depths().items() if queue.endswith(".dlq")}


def test_sigterm_under_load_ends_every_service_cleanly(harness: FaultHarness, customers: Customers) -> None:
    """Exit code 0 within the grace period; no failure is recorded and no message is parked."""
    failures, parked = harness.failure_counts(), parking_lot_depths(harness)
    with customers.ordering(40, seconds=3):
        eventually(lambda: customers.are_busy)
        time.sleep(random.uniform(0.0, 1.0))
        began = time.monotonic()
        with ThreadPoolExecutor(len(PROCESSES)) as pool:
            codes = dict(zip(PROCESSES, pool.map(harness.processes.stop, PROCESSES), strict=True))
        took = time.monotonic() - began
        for name in PROCESSES:
            harness.start_service(name)
    assert codes == dict.fromkeys(PROCESSES, 0)
    assert took < GRACE_SECONDS, f"{took:.1f} s"
    eventually(harness.is_idle, 120)
    assert harness.failure_counts() == failures
    assert parking_lot_depths(harness) == parked


def test_sigterm_returns_unfinished_deliveries_uncounted(harness: FaultHarness, customers: Customers) -> None:
    """The broker counts no failed delivery of a message that a stopping consumer returns."""
    order_id = customers.order("item1")
    eventually(lambda: "order.completed" in harness.event_types(order_id))
    recorded = harness.sql("SELECT body FROM audit.events WHERE subject = $1", order_id)
    harness.processes.stop("audit")
    # More than a consumer prefetches (500), so that some are unfinished when it stops.
    harness.put_messages([("audit.queue", bytes(row[0])) for row in recorded * 150])
    harness.proxy("audit", DATABASE).delay(0.1)
    harness.start_service("audit")
    eventually(lambda: REPEATED in harness.log("audit"))
    assert harness.processes.stop("audit") == 0
    left = harness.take_messages("audit.queue")
    harness.start_service("audit")
    returned = [message for message in left if message.redelivered]
    assert returned, "no delivery was unfinished"
    assert not [message for message in returned if (message.header.properties.headers or {}).get("x-delivery-count")]
