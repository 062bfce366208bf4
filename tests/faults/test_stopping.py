"""SIGTERM under load: everybody finishes what is under way, returns the rest, and nobody is blamed."""

import random
import time
from concurrent.futures import ThreadPoolExecutor

from faults import queues
from faults.harness import DATABASE, Rig
from faults.server_admin import eventually
from services.registry import PROCESSES
from tests.faults.customers import Customers

GRACE = 15.0  # seconds


def parked(rig: Rig) -> dict[str, int]:
    return {queue: depth for queue, depth in rig.depths().items() if queue.endswith(".dlq")}


def test_sigterm_under_load(rig: Rig, customers: Customers) -> None:
    """Exit code 0 within the grace; parking lots and records of failures are what they were."""
    blamed, lots = rig.blamed(), parked(rig)
    with customers.ordering(40, seconds=3):
        eventually(lambda: customers.are_busy)
        time.sleep(random.uniform(0.0, 1.0))
        began = time.monotonic()
        with ThreadPoolExecutor(len(PROCESSES)) as pool:
            codes = dict(zip(PROCESSES, pool.map(rig.processes.stop, PROCESSES), strict=True))
        took = time.monotonic() - began
        for name in PROCESSES:
            rig.revive(name)
    assert codes == dict.fromkeys(PROCESSES, 0)
    assert took < GRACE, f"{took:.1f} s"
    eventually(rig.at_rest, 120)
    assert rig.blamed() == blamed
    assert parked(rig) == lots


def test_sigterm_returns_what_is_unfinished_uncounted(rig: Rig, customers: Customers) -> None:
    """More was handed out than could be done: the rest goes back, and the broker counts no failed delivery of it."""
    order = customers.order("item1")
    eventually(lambda: "order.completed" in rig.story(order))
    bodies = [bytes(row[0]) for row in rig.sql("SELECT body FROM audit.events WHERE subject = $1", order)]
    rig.processes.stop("audit")
    # More than a consumer holds at a time: it takes in 500 and works on them by halves.
    queues.put(rig, [("audit.queue", body) for body in bodies * 150])
    rig.line("audit", DATABASE).delay(0.1)
    rig.revive("audit")
    eventually(lambda: "repeated, no effect" in rig.said("audit"))
    assert rig.processes.stop("audit") == 0
    left = queues.drain(rig, "audit.queue")
    rig.revive("audit")
    returned = [message for message in left if message.redelivered]
    assert returned, "nothing was unfinished"
    assert not [message for message in returned if (message.header.properties.headers or {}).get("x-delivery-count")]
