"""Events that are duplicated, concurrent or reordered, with several replicas."""

import json
import random
from concurrent.futures import ThreadPoolExecutor
from socket import socket
from uuid import UUID

import pytest

from faults.harness import FaultHarness, eventually
from services.registry import PROCESSES, QUEUES
from tests.conftest import SEED
from tests.faults.customers import Customers
from tests.faults.shuffler import MessageShuffler


def start_two_replicas(harness: FaultHarness, name: str, queue: str) -> None:
    """Both of them consume what is put into the queue afterwards."""
    harness.start_replica(name, f"{name}-2")
    harness.start_service(name)
    eventually(lambda: harness.consumers()[queue] == 2)


def take_shuffled(harness: FaultHarness, queue: str) -> list[tuple[str, bytes]]:
    """Empty a queue; returns its messages in random order, to be put back."""
    bodies = harness.take_bodies(queue)
    random.shuffle(bodies)
    return [(queue, body) for body in bodies]


def test_an_event_delivered_three_times_at_once_has_one_effect(harness: FaultHarness, customers: Customers) -> None:
    def states() -> list[tuple[object, ...]]:
        return [tuple(row) for row in harness.sql('SELECT id, state, version FROM "order".orders ORDER BY id')]

    harness.processes.stop("inventory")
    order_ids = [customers.order({"sku": "item5", "quantity": 2}) for _ in range(6)]
    eventually(lambda: harness.queue_depth("inventory.queue") == 6)
    created = harness.take_bodies("inventory.queue")
    start_two_replicas(harness, "inventory", "inventory.queue")
    harness.put_messages([("inventory.queue", body) for body in created for _ in range(3)])
    eventually(lambda: harness.count_orders("state = 'COMPLETED'") and harness.is_idle(), 120)
    # Then every event of these orders again, three times to each of its subscribers.
    before = states()
    subscribers = harness.subscribers()
    recorded = harness.sql("SELECT body FROM audit.events WHERE subject = ANY($1::uuid[])", order_ids)
    bodies = [bytes(row[0]) for row in recorded]
    copies = [(queue, body) for body in bodies for queue in subscribers[json.loads(body)["type"]] for _ in range(3)]
    random.shuffle(copies)
    harness.put_messages(copies)
    subscribed = {queue for queues in subscribers.values() for queue in queues}
    eventually(lambda: not any(harness.queue_depth(queue) for queue in subscribed), 120)
    assert states() == before


@pytest.mark.long
def test_reordered_events_lead_to_the_same_states(harness: FaultHarness, customers: Customers) -> None:
    """The events of ten orders, half of them cancelled, are shuffled in each queue for two replicas."""
    harness.processes.stop("inventory")
    order_ids = [customers.order("item6") for _ in range(10)]
    for order_id in order_ids[::2]:
        customers.cancel(order_id)
    # Ten are created; five are cancelled, in two phases each.
    eventually(lambda: harness.queue_depth("inventory.queue") == 20)
    eventually(lambda: not harness.queue_depth("order.queue"))
    harness.processes.stop("order-worker")
    shuffled = take_shuffled(harness, "inventory.queue")
    start_two_replicas(harness, "inventory", "inventory.queue")
    harness.put_messages(shuffled)
    # Reserved, charged, committed, prepared, delivered, five times; released five times.
    eventually(lambda: harness.queue_depth("order.queue") >= 30 and not harness.outbox_size("shipping"))
    shuffled = take_shuffled(harness, "order.queue")
    start_two_replicas(harness, "order-worker", "order.queue")
    harness.put_messages(shuffled)
    eventually(harness.is_idle, 120)
    states = harness.order_states(order_ids)
    assert [states[order_id].split()[0] for order_id in order_ids] == ["CANCELLED", "COMPLETED"] * 5
    for replica in ("inventory-2", "order-worker-2"):
        assert "processed" in harness.log(replica)
        harness.processes.stop(replica)


def test_replicas_of_every_service_handle_events_in_random_order(harness: FaultHarness, customers: Customers) -> None:
    """Each order ends as it would have in order, and each replica does a share of the work."""
    replicas = {name: f"{name}-2" for name in PROCESSES}
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name, alias in replicas.items():
        harness.start_replica(name, alias, **({"WARREN_HTTP_PORT": str(port)} if name == "order-api" else {}))
    eventually(lambda: all(harness.consumers()[queue] == 2 for queue in QUEUES), 120)
    customers.urls.append(f"http://127.0.0.1:{port}")
    expected: dict[UUID, set[str]] = {}
    with MessageShuffler(harness, f"{SEED} detour") as shuffler:
        for number in range(36):
            if number % 6 == 0:
                expected[customers.order("sold-out")] = {"CANCELLED out_of_stock"}
            elif number % 6 == 1:
                expected[customers.order("item5", paymentToken="tok_declined")] = {"CANCELLED payment_failed"}
            elif number % 6 == 2:
                order_id = customers.order("item6")
                customers.cancel(order_id)
                expected[order_id] = {"CANCELLED customer", "COMPLETED"}  # the parcel may leave before the cancellation
            else:
                expected[customers.order("item6", express=number % 6 == 3)] = {"COMPLETED"}
        eventually(lambda: harness.is_idle() and shuffler.is_empty, 180)
    customers.urls.pop()
    found = harness.order_states(list(expected))
    assert {order_id: state for order_id, state in found.items() if state not in expected[order_id]} == {}
    assert sum(shuffler.overtaken.values()) > 50, shuffler.overtaken
    for name, alias in replicas.items():
        assert ("published" if name == "order-api" else "processed") in harness.log(alias), f"{alias} was idle"
    with ThreadPoolExecutor(len(replicas)) as pool:
        assert set(pool.map(harness.processes.stop, replicas.values())) == {0}


@pytest.mark.long
def test_the_last_piece_is_sold_once(harness: FaultHarness, customers: Customers) -> None:
    """A hundred customers order it at once, with two replicas of inventory."""
    harness.start_replica("inventory", "inventory-2")
    eventually(lambda: harness.consumers()["inventory.queue"] == 2)
    with ThreadPoolExecutor(100) as pool:
        order_ids = list(pool.map(lambda _: customers.order("last-piece"), range(100)))
    eventually(harness.is_idle, 120)
    states = [state.split()[0] for state in harness.order_states(order_ids).values()]
    assert (states.count("COMPLETED"), states.count("CANCELLED")) == (1, 99)
    assert "processed" in harness.log("inventory-2")
