"""kill -9 at every point where the state of a process and of its surroundings differ, and at random times."""

import random
import time

import httpx
import pytest

from faults.harness import REPEATED, FaultHarness, eventually
from services.registry import PROCESSES
from tests.conftest import SEED
from tests.faults.customers import Customers

KILLED = {
    "before commit": ("order-api", "inventory", "payment", "order-worker"),
    "before publish": ("order-api", "inventory", "payment", "shipping"),
    "before confirm": ("order-api", "inventory", "payment", "order-worker"),
    "before removal": ("order-api", "inventory", "payment", "shipping"),
    "before ack": ("inventory", "payment", "order-worker", "audit"),
    "before result": ("payment", "email"),
}
PUBLISHED_AGAIN = {"before confirm", "before removal"}
DELIVERED_AGAIN = {"before ack"}


@pytest.mark.parametrize("point", KILLED)
def test_processes_killed_at_a_failpoint_lose_nothing(harness: FaultHarness, customers: Customers, point: str) -> None:
    """Several services are killed while customers order; repeated events have no effect."""
    repeated = harness.log("audit").count(REPEATED)
    with customers.ordering(24, seconds=2):
        for nth, name in enumerate(KILLED[point], start=1):
            harness.set_failpoint(name, point, nth)
        for name in KILLED[point]:
            # On a busy machine batches are larger, so that a process may need more orders to reach its failpoint.
            while name != "order-api" and name in harness.processes.pids:
                customers.order("item1")
                time.sleep(0.2)
            harness.wait_for_exit(name)
            harness.start_service(name)
    if point in PUBLISHED_AGAIN:
        # Audit receives every event, and is not killed.
        eventually(lambda: harness.log("audit").count(REPEATED) > repeated)
    if point in DELIVERED_AGAIN:
        for name in KILLED[point]:
            eventually(lambda name=name: REPEATED in harness.log(name), 60, f"nothing was redelivered to {name}")
    if point == "before result":
        _check_repeated_effects(harness)


def _check_repeated_effects(harness: FaultHarness) -> None:
    """The mail is sent twice with one Message-ID. (Invariant I3 checks that the order is charged once.)"""
    eventually(harness.is_idle, 120)
    mails = httpx.get(harness.urls["sent mail and SMS"]).raise_for_status().json()["mails"]
    last = {mail["headers"]["Message-ID"]: mail for mail in mails}
    repeated = [mail for mail in mails if last[mail["headers"]["Message-ID"]] is not mail]
    assert repeated, "the process was killed after the mail server had accepted the mail"
    for mail in repeated:
        same = last[mail["headers"]["Message-ID"]]
        assert (mail["recipient"], mail["subject"], mail["text"]) == (same["recipient"], same["subject"], same["text"])


@pytest.mark.long
def test_processes_killed_at_random_lose_nothing(harness: FaultHarness, customers: Customers) -> None:
    """Twenty-four kills of any service, often before the one killed before is ready again."""
    rng = random.Random(f"{SEED} kills")
    with customers.ordering(80, seconds=12):
        for _ in range(24):
            time.sleep(rng.uniform(0.0, 1.0))
            name = rng.choice(list(PROCESSES))
            harness.processes.kill(name)
            harness.start_service(name)
    eventually(harness.is_idle, 180)
