"""Queues, parking lots and brokers that are full: who sends keeps what was not taken, who orders is told in time."""

from faults import queues
from faults.harness import OUTBOX_LIMIT, Rig
from faults.server_admin import eventually
from tests.faults.customers import Customers


def test_max_length(rig: Rig, customers: Customers) -> None:
    """A full queue refuses, and the events stay in the outbox until it has room."""
    rig.processes.stop("inventory")
    rig.limit("inventory.queue", 2)
    try:
        for _ in range(8):
            customers.order("item1")
        eventually(lambda: rig.count('"order".outbox', "last_error = 'a queue refused it'") >= 5)
    finally:
        rig.unlimit("inventory.queue")
        rig.revive("inventory")
    eventually(lambda: not rig.waiting())


def test_parking_lot_full(rig: Rig, customers: Customers) -> None:
    """What is rejected and finds its parking lot full is neither lost nor in the way."""
    rig.limit("inventory.dlq", 1)
    parked = rig.depth("inventory.dlq")
    poison = [("inventory.queue", b'{"poison": %d}' % number) for number in range(6)]
    try:
        # A queue refuses from the moment that it has found itself too long, which a burst does not wait for.
        queues.put(rig, poison[:2])
        eventually(lambda: rig.depth("inventory.dlq") > parked)
        queues.put(rig, poison[2:])
        order = customers.order("item1")
        eventually(lambda: rig.orders(f"id = '{order}' AND state = 'COMPLETED'"))
        assert rig.depth("inventory.dlq") < parked + 6
    finally:
        rig.unlimit("inventory.dlq")
    eventually(lambda: rig.depth("inventory.dlq") == parked + 6)


def test_memory_alarm(rig: Rig, customers: Customers) -> None:
    """While the broker takes nothing, orders are accepted as long as they can be kept, and then put off. What it has
    is consumed all the while."""

    def enough() -> None:
        if rig.api("GET", "nodes")[0]["mem_alarm"]:
            rig.servers.broker.rabbitmqctl("set_vm_memory_high_watermark", "absolute", "2GB")

    rig.processes.stop("inventory")
    for _ in range(5):
        customers.order("item1")
    eventually(lambda: rig.depth("inventory.queue") == 5)
    rig.servers.broker.rabbitmqctl("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        eventually(lambda: rig.api("GET", "nodes")[0]["mem_alarm"])
        rig.revive("inventory")
        eventually(lambda: not rig.depth("inventory.queue"), 60, "consumers wait for the alarm to end")
        assert rig.waiting("inventory") == 5, "the broker took something during the alarm"
        with customers.ordering(80, seconds=3, cancelling=0):
            eventually(lambda: customers.turned_away, 60, "the outbox took more than its limit")
            assert rig.waiting() > OUTBOX_LIMIT, "nobody is turned away before"
            assert rig.api("GET", "nodes")[0]["mem_alarm"]
            enough()
    finally:
        enough()
    assert {answer.headers["Retry-After"] for answer in customers.turned_away} == {"2"}
