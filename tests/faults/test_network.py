"""Answers that are lost, connections that are half-open or slow, and processes that are frozen."""

import signal

import pytest

from faults import frames
from faults.frames import FrameMatcher
from faults.harness import BROKER, DATABASE, REPEATED, FaultHarness, eventually
from faults.proxy import BOTH, Direction
from tests.faults.customers import Customers

TO_SERVER, FROM_SERVER = (frozenset({direction}) for direction in Direction)


def lose_answers(harness: FaultHarness, customers: Customers, name: str, server: str, matches: FrameMatcher) -> None:
    """Drop three answers of a server to a process, each with its connection, while customers order."""
    proxy = harness.frame_proxy(server)
    harness.restart_services(name, **harness.settings_via(name, proxy, server))
    with customers.ordering(16, seconds=2):
        for _ in range(3):
            proxy.drop_frames(matches)
            eventually(lambda: proxy.dropped or not customers.order("item1"), 60, "no such answer passed")
    eventually(harness.is_idle, 120)


@pytest.mark.parametrize("name", ["order-api", pytest.param("payment", marks=pytest.mark.long)])
def test_events_whose_confirm_is_lost_have_one_effect(harness: FaultHarness, customers: Customers, name: str) -> None:
    """They are published again, and their consumers recognise them."""
    lose_answers(harness, customers, name, BROKER, frames.is_confirm)
    assert REPEATED in harness.log("inventory" if name == "order-api" else "order-worker")
    harness.restart_services(name)


@pytest.mark.parametrize("name", ["order-api", "inventory"])
def test_work_whose_commit_reply_is_lost_has_one_effect(harness: FaultHarness, customers: Customers, name: str) -> None:
    """The customer or the broker repeats it; the key or the inbox recognises the repetition."""
    lose_answers(harness, customers, name, DATABASE, frames.is_commit_reply)
    if name == "order-api":
        assert customers.unavailable or customers.unanswered
    else:
        assert REPEATED in harness.log(name)
    harness.restart_services(name)


def test_half_open_connections_are_replaced(harness: FaultHarness, customers: Customers) -> None:
    """Half-open in both directions or in one, of three services at once; the others continue."""
    directions_of = {"inventory": BOTH, "payment": TO_SERVER, "shipping": FROM_SERVER}
    with customers.ordering(16, seconds=2):
        eventually(lambda: customers.are_busy)
        for name, directions in directions_of.items():
            harness.proxy(name, BROKER).black_hole(directions)
        for name in directions_of:
            # After three heartbeats of two seconds, and the limits for closing.
            eventually(lambda name=name: "paused: " in harness.log(name), 60, f"{name} did not notice")
        harness.proxies.heal()
        queues = [f"{name}.queue" for name in directions_of]
        eventually(lambda: all(harness.consumers()[queue] for queue in queues), 60, "a consumer did not come back")


@pytest.mark.long
@pytest.mark.parametrize(
    "directions",
    [
        pytest.param(BOTH, id="both directions"),
        pytest.param(TO_SERVER, id="to the servers"),
        pytest.param(FROM_SERVER, id="from the servers"),
    ],
)
def test_a_second_replica_takes_over_during_a_partition(
    harness: FaultHarness, customers: Customers, directions: frozenset[Direction]
) -> None:
    """One of two replicas is cut off from both servers."""
    harness.start_replica("inventory", "inventory-2")
    eventually(lambda: harness.consumers()["inventory.queue"] == 2)
    with customers.ordering(16, seconds=2):
        eventually(lambda: customers.are_busy)
        harness.proxy("inventory", BROKER).black_hole(directions)
        harness.proxy("inventory", DATABASE).black_hole(directions)
        eventually(lambda: harness.consumers()["inventory.queue"] == 1, 60, "the broker keeps the lost consumer")
    # Its deliveries and its open transaction block the other replica only for a limited time.
    eventually(harness.is_idle, 120, "the other replica did not take over")
    harness.proxies.heal()
    eventually(lambda: harness.consumers()["inventory.queue"] == 2, 60, "it did not come back")


@pytest.mark.long
def test_half_open_database_connections_lead_to_503(harness: FaultHarness, customers: Customers) -> None:
    """Statements hang and no new connection is made. No message is parked for that."""
    parked = harness.failure_counts(parked=True)
    with customers.ordering(16, seconds=2):
        harness.proxy("order-api", DATABASE).black_hole()
        harness.proxy("payment", DATABASE).black_hole()
        eventually(lambda: customers.unavailable, 60, "no request was answered with 503")
        harness.proxies.heal()
    eventually(harness.is_idle, 120)
    assert {answer.headers["Retry-After"] for answer in customers.unavailable} == {"2"}
    assert harness.failure_counts(parked=True) == parked


@pytest.mark.long
def test_frozen_services_lose_their_deliveries(harness: FaultHarness, customers: Customers) -> None:
    """They are frozen for longer than the broker waits: it redelivers their messages, and their leases end."""
    harness.start_replica("inventory", "inventory-2")
    with customers.ordering(16, seconds=2):
        eventually(lambda: customers.are_busy)
        harness.freeze("inventory", "payment")
        eventually(lambda: harness.consumers()["payment.queue"] == 0, 60, "the broker keeps the frozen consumer")
        harness.thaw("inventory", "payment")
    eventually(harness.is_idle, 120)


@pytest.mark.long
@pytest.mark.parametrize("point", ["before commit", "before ack"])
def test_a_second_replica_takes_over_from_a_frozen_one(harness: FaultHarness, customers: Customers, point: str) -> None:
    """Its row locks are released and its messages redelivered before it continues."""
    harness.start_replica("inventory", "inventory-2")
    eventually(lambda: harness.consumers()["inventory.queue"] == 2)
    parked = harness.failure_counts(parked=True)
    harness.set_failpoint("inventory", point, number=signal.SIGSTOP)
    with customers.ordering(16, seconds=2):
        eventually(lambda: harness.failpoint_hit("inventory") and harness.is_frozen("inventory"))
    eventually(harness.is_idle, 120, "the other replica did not take over")
    harness.thaw("inventory")
    eventually(lambda: harness.consumers()["inventory.queue"] == 2, 60, "it did not come back")
    assert harness.failure_counts(parked=True) == parked


@pytest.mark.long
def test_a_slow_network_causes_no_failure(harness: FaultHarness, customers: Customers) -> None:
    """50 ms more in each direction, between two services and both servers."""
    slow = ("order-worker", "payment")

    def pauses() -> list[int]:
        return [harness.log(name).count("paused: ") for name in slow]

    failures, paused = harness.failure_counts(), pauses()
    for name in slow:
        harness.proxy(name, BROKER).delay(0.05)
        harness.proxy(name, DATABASE).delay(0.05)
    with customers.ordering(12, seconds=1):
        pass
    eventually(harness.is_idle, 120)
    assert harness.failure_counts() == failures
    assert pauses() == paused
