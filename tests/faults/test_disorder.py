"""Events that come more than once, at the same time, and in any order, to several replicas."""

import json
import random
from concurrent.futures import ThreadPoolExecutor
from socket import socket
from uuid import UUID

import pytest

from faults import queues
from faults.harness import Rig
from faults.server_admin import eventually
from services.registry import PROCESSES, QUEUES
from tests.conftest import SEED
from tests.faults.customers import Customers
from tests.faults.detour import Detour


def states(rig: Rig) -> list[tuple[object, ...]]:
    return [tuple(row) for row in rig.sql('SELECT id, state, version FROM "order".orders ORDER BY id')]


def start_two(rig: Rig, name: str, queue: str) -> None:
    """Two replicas, both of which get a share of what is put into the queue from now on."""
    rig.replica(name, f"{name}-2")
    rig.revive(name)
    eventually(lambda: rig.consumers()[queue] == 2)


def taken(rig: Rig, queue: str) -> list[tuple[str, bytes]]:
    """What waits in a queue, taken out and shuffled, to be put back."""
    bodies = queues.take(rig, queue)
    random.shuffle(bodies)
    return [(queue, body) for body in bodies]


def test_duplicate_times_three_at_the_same_time(rig: Rig, customers: Customers) -> None:
    rig.processes.stop("inventory")
    orders = [customers.order({"sku": "item5", "quantity": 2}) for _ in range(6)]
    eventually(lambda: rig.depth("inventory.queue") == 6)
    created = queues.take(rig, "inventory.queue")
    start_two(rig, "inventory", "inventory.queue")
    queues.put(rig, [("inventory.queue", body) for body in created for _ in range(3)])
    eventually(lambda: rig.orders("state = 'COMPLETED'") and rig.at_rest(), 120)
    # And once more everything that was ever said about them, to everybody who takes it.
    before = states(rig)
    bound = queues.takers(rig)
    bodies = [bytes(row[0]) for row in rig.sql("SELECT body FROM audit.events WHERE subject = ANY($1::uuid[])", orders)]
    copies = [(queue, body) for body in bodies for queue in bound[json.loads(body)["type"]] for _ in range(3)]
    random.shuffle(copies)
    queues.put(rig, copies)
    eventually(lambda: not any(rig.depth(queue) for queues in bound.values() for queue in queues), 120)
    assert states(rig) == before


@pytest.mark.long
def test_reordered(rig: Rig, customers: Customers) -> None:
    """Each queue's share of the events of ten orders, half of them cancelled, is shuffled for two replicas."""
    rig.processes.stop("inventory")
    orders = [customers.order("item6") for _ in range(10)]
    for order in orders[::2]:
        customers.cancel(order)
    # Ten are created; five are cancelled, in two phases each.
    eventually(lambda: rig.depth("inventory.queue") == 20)
    eventually(lambda: not rig.depth("order.queue"))
    rig.processes.stop("order-worker")
    shuffled = taken(rig, "inventory.queue")
    start_two(rig, "inventory", "inventory.queue")
    queues.put(rig, shuffled)
    # Reserved, charged, committed, prepared, delivered, five times; released five times.
    eventually(lambda: rig.depth("order.queue") >= 30 and not rig.waiting("shipping"))
    shuffled = taken(rig, "order.queue")
    start_two(rig, "order-worker", "order.queue")
    queues.put(rig, shuffled)
    eventually(rig.at_rest, 120)
    ends = dict(rig.sql('SELECT id, state FROM "order".orders WHERE id = ANY($1::uuid[])', orders))
    assert [ends[order] for order in orders] == ["CANCELLED", "COMPLETED"] * 5
    for replica in ("inventory-2", "order-worker-2"):
        assert "processed" in rig.said(replica)
        rig.processes.stop(replica)


def test_shuffled_for_several_replicas_of_every_service(rig: Rig, customers: Customers) -> None:
    """Every message to every service is held up by chance and overtaken by others. Each order ends as it would have in
    order, and each replica has done a share."""
    replicas = {name: f"{name}-2" for name in PROCESSES}
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name, alias in replicas.items():
        rig.replica(name, alias, **({"WARREN_HTTP_PORT": str(port)} if name == "order-api" else {}))
    eventually(lambda: all(rig.consumers()[queue] == 2 for queue in QUEUES), 120)
    customers.doors.append(f"http://127.0.0.1:{port}")
    expected: dict[UUID, set[str]] = {}
    with Detour(rig, f"{SEED} detour") as detour:
        for number in range(36):
            if number % 6 == 0:
                expected[customers.order("sold-out")] = {"CANCELLED out_of_stock"}
            elif number % 6 == 1:
                expected[customers.order("item5", paymentToken="tok_declined")] = {"CANCELLED payment_failed"}
            elif number % 6 == 2:
                order = customers.order("item6")
                customers.cancel(order)
                expected[order] = {"CANCELLED customer", "COMPLETED"}  # the parcel may have been quicker
            else:
                expected[customers.order("item6", express=number % 6 == 3)] = {"COMPLETED"}
        eventually(lambda: rig.at_rest() and detour.is_empty, 180)
    customers.doors.pop()
    ends = rig.sql(
        "SELECT id, concat_ws(' ', state, reason) FROM \"order\".orders WHERE id = ANY($1::uuid[])", list(expected)
    )
    assert {order: end for order, end in ends if end not in expected[order]} == {}
    assert sum(detour.overtaken.values()) > 50, detour.overtaken
    for name, alias in replicas.items():
        assert ("published" if name == "order-api" else "processed") in rig.said(alias), f"{alias} had nothing to do"
    with ThreadPoolExecutor(len(replicas)) as pool:
        assert set(pool.map(rig.processes.stop, replicas.values())) == {0}


@pytest.mark.long
def test_oversell(rig: Rig, customers: Customers) -> None:
    """A hundred orders at once for the last piece, with two replicas of inventory: one customer gets it."""
    rig.replica("inventory", "inventory-2")
    eventually(lambda: rig.consumers()["inventory.queue"] == 2)
    with ThreadPoolExecutor(100) as pool:
        orders = list(pool.map(lambda _: customers.order("last-piece"), range(100)))
    eventually(rig.at_rest, 120)
    ends = [row[0] for row in rig.sql('SELECT state FROM "order".orders WHERE id = ANY($1::uuid[])', orders)]
    assert (ends.count("COMPLETED"), ends.count("CANCELLED")) == (1, 99)
    assert "processed" in rig.said("inventory-2")
