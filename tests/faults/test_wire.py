"""What the network does: answers that get lost, cables that are pulled, processes that stand still."""

import signal

import pytest

from faults import frames
from faults.harness import BROKER, DATABASE, Rig
from faults.proxy import BOTH, Direction
from faults.server_admin import eventually
from tests.faults.customers import Customers


@pytest.mark.parametrize("name", ["order-api", pytest.param("payment", marks=pytest.mark.long)])
def test_cut_mid_confirm(rig: Rig, customers: Customers, name: str) -> None:
    """The broker has the events, and its confirms never arrive: they are published again, and have one effect."""
    line = rig.reading_line(BROKER)
    rig.renew(name, **rig.through(name, line, BROKER))
    with customers.ordering(16, seconds=2):
        for _ in range(3):
            line.swallow(frames.is_confirm)
            eventually(lambda: line.swallowed or not customers.order("item1"), 60, "no confirm came by")
    eventually(rig.at_rest, 120)
    takers = "inventory" if name == "order-api" else "order-worker"
    assert "repeated, no effect" in rig.said(takers)
    rig.renew(name)


@pytest.mark.parametrize("name", ["order-api", "inventory"])
def test_lost_commit_reply(rig: Rig, customers: Customers, name: str) -> None:
    """COMMIT has succeeded and nobody was told: whoever did not hear of it asks again and finds it done."""
    line = rig.reading_line(DATABASE)
    rig.renew(name, **rig.through(name, line, DATABASE))
    with customers.ordering(16, seconds=2):
        for _ in range(3):
            line.swallow(frames.is_commit_reply)
            eventually(lambda: line.swallowed or not customers.order("item1"), 60, "no COMMIT came by")
    eventually(rig.at_rest, 120)
    if name == "order-api":
        assert customers.turned_away or customers.unanswered
    else:
        assert "repeated, no effect" in rig.said(name)
    rig.renew(name)


def test_half_open(rig: Rig, customers: Customers) -> None:
    """Cables are pulled, of one service both ways, of others one way: each is noticed, and others go on."""
    pulled = {
        "inventory": BOTH,
        "payment": frozenset({Direction.TO_SERVER}),
        "shipping": frozenset({Direction.FROM_SERVER}),
    }
    with customers.ordering(16, seconds=2):
        eventually(lambda: customers.are_busy)
        for name, directions in pulled.items():
            rig.line(name, BROKER).black_hole(directions)
        for name in pulled:
            # Three heartbeats of two seconds, and the closing limits.
            eventually(lambda name=name: "paused: " in rig.said(name), 60, f"{name} did not notice")
        rig.lines.heal()
        eventually(lambda: all(rig.consumers()[f"{name}.queue"] for name in pulled), 60, "not taken up again")


@pytest.mark.long
@pytest.mark.parametrize(
    "directions",
    [
        pytest.param(BOTH, id="both ways"),
        pytest.param(frozenset({Direction.TO_SERVER}), id="to the servers"),
        pytest.param(frozenset({Direction.FROM_SERVER}), id="from the servers"),
    ],
)
def test_partition(rig: Rig, customers: Customers, directions: frozenset[Direction]) -> None:
    """One of two replicas is on the wrong side, away from both servers: the other does the work of both meanwhile."""
    rig.replica("inventory", "inventory-2")
    eventually(lambda: rig.consumers()["inventory.queue"] == 2)
    with customers.ordering(16, seconds=2):
        eventually(lambda: customers.are_busy)
        rig.line("inventory", BROKER).black_hole(directions)
        rig.line("inventory", DATABASE).black_hole(directions)
        eventually(lambda: rig.consumers()["inventory.queue"] == 1, 60, "the broker waits for it still")
    # What it had in hand, its transaction included, holds nobody up for long.
    eventually(rig.at_rest, 120, "the other one did not take over")
    rig.lines.heal()
    eventually(lambda: rig.consumers()["inventory.queue"] == 2, 60, "it did not come back")


@pytest.mark.long
def test_half_open_database(rig: Rig, customers: Customers) -> None:
    """Statements hang and connections do not come up: customers are told to come again, messages are not blamed."""
    parked = rig.blamed(parked=True)
    with customers.ordering(16, seconds=2):
        rig.line("order-api", DATABASE).black_hole()
        rig.line("payment", DATABASE).black_hole()
        eventually(lambda: customers.turned_away, 60, "no customer was told to come again")
        rig.lines.heal()
    eventually(rig.at_rest, 120)
    assert {answer.headers["Retry-After"] for answer in customers.turned_away} == {"2"}
    assert rig.blamed(parked=True) == parked


@pytest.mark.long
def test_a_service_stands_still(rig: Rig, customers: Customers) -> None:
    """SIGSTOP for longer than the broker waits: its deliveries go elsewhere or come back, its leases end."""
    rig.replica("inventory", "inventory-2")
    with customers.ordering(16, seconds=2):
        eventually(lambda: customers.are_busy)
        rig.freeze("inventory", "payment")
        eventually(lambda: rig.consumers()["payment.queue"] == 0, 60, "the broker waits for payment still")
        rig.thaw("inventory", "payment")
    eventually(rig.at_rest, 120)


@pytest.mark.long
@pytest.mark.parametrize("point", ["before commit", "before ack"])
def test_one_stands_still_in_a_transaction(rig: Rig, customers: Customers, point: str) -> None:
    """The rows that it has locked are freed, and its deliveries go to the other replica, before it wakes up."""
    rig.replica("inventory", "inventory-2")
    eventually(lambda: rig.consumers()["inventory.queue"] == 2)
    parked = rig.blamed(parked=True)
    rig.arm("inventory", point, number=signal.SIGSTOP)
    with customers.ordering(16, seconds=2):
        eventually(lambda: rig.sprung("inventory") and rig.stands_still("inventory"))
    eventually(rig.at_rest, 120, "the other one did not take over")
    rig.thaw("inventory")
    eventually(lambda: rig.consumers()["inventory.queue"] == 2, 60, "it did not come back")
    assert rig.blamed(parked=True) == parked


@pytest.mark.long
def test_slow_network(rig: Rig, customers: Customers) -> None:
    """A twentieth of a second on every line of two services, each way, is no fault: nobody is blamed, nothing ends."""
    slow = ("order-worker", "payment")
    blamed, pauses = rig.blamed(), [rig.said(name).count("paused: ") for name in slow]
    for name in slow:
        rig.line(name, BROKER).delay(0.05)
        rig.line(name, DATABASE).delay(0.05)
    with customers.ordering(12, seconds=1):
        pass
    eventually(rig.at_rest, 120)
    assert rig.blamed() == blamed
    assert [rig.said(name).count("paused: ") for name in slow] == pauses
