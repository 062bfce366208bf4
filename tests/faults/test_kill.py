"""kill -9 at every point where a process holds something that the others do not know yet, and at any other moment."""

import random
import time

import httpx
import pytest

from faults.harness import Rig
from faults.server_admin import eventually
from services.registry import PROCESSES
from tests.conftest import SEED
from tests.faults.customers import Customers

WHO = {
    "before commit": ("order-api", "inventory", "payment", "order-worker"),
    "before publish": ("order-api", "inventory", "payment", "shipping"),
    "before confirm": ("order-api", "inventory", "payment", "order-worker"),
    "before removal": ("order-api", "inventory", "payment", "shipping"),
    "before ack": ("inventory", "payment", "order-worker", "audit"),
    "before result": ("payment", "email"),
}
PUBLISHED_AGAIN = {"before confirm", "before removal"}
DELIVERED_AGAIN = {"before ack"}


@pytest.mark.parametrize("point", WHO)
def test_killed(rig: Rig, customers: Customers, point: str) -> None:
    """Several services in one run, while customers order; what comes twice by that is absorbed."""
    heard_twice = rig.said("audit").count("repeated, no effect")
    with customers.ordering(24, seconds=2):
        for nth, name in enumerate(WHO[point], start=1):
            rig.arm(name, point, nth)
        for name in WHO[point]:
            # On a busy machine all events may fit into fewer batches than it takes.
            while name != "order-api" and name in rig.processes.pids:
                customers.order("item1")
                time.sleep(0.2)
            rig.dies(name)
            rig.revive(name)
    if point in PUBLISHED_AGAIN:
        # Audit gets every event, and was not killed.
        eventually(lambda: rig.said("audit").count("repeated, no effect") > heard_twice)
    if point in DELIVERED_AGAIN:
        for name in WHO[point]:
            eventually(lambda name=name: "repeated, no effect" in rig.said(name), 60, f"nothing came back to {name}")
    if point == "before result":
        _made_again_under_the_same_name(rig)


def _made_again_under_the_same_name(rig: Rig) -> None:
    """The charge of the payment service that died is in the books once (see I3), the mail was sent twice, as one."""
    eventually(rig.at_rest, 120)
    mails = httpx.get(rig.urls["sent mail and SMS"]).raise_for_status().json()["mails"]
    by_id = {mail["headers"]["Message-ID"]: mail for mail in mails}
    again = [mail for mail in mails if by_id[mail["headers"]["Message-ID"]] is not mail]
    assert again, "the process died when the mail server had taken the mail"
    for mail in again:
        twin = by_id[mail["headers"]["Message-ID"]]
        assert (mail["recipient"], mail["subject"], mail["text"]) == (twin["recipient"], twin["subject"], twin["text"])


@pytest.mark.long
def test_killed_at_random(rig: Rig, customers: Customers) -> None:
    """Twenty-four times, whoever and whenever it may be, often before the last victim is back at work."""
    chance = random.Random(f"{SEED} kills")
    with customers.ordering(80, seconds=12):
        for _ in range(24):
            time.sleep(chance.uniform(0.0, 1.0))
            victim = chance.choice(list(PROCESSES))
            rig.processes.kill(victim)
            rig.revive(victim)
    eventually(rig.at_rest, 180)
