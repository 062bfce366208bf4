"""Queues, parking lots and brokers that are full."""

import httpx

from faults.harness import OUTBOX_LIMIT, FaultHarness, eventually
from tests.faults.customers import Customers


def test_events_for_a_full_queue_stay_in_the_outbox(harness: FaultHarness, customers: Customers) -> None:
    harness.processes.stop("inventory")
    harness.limit_queue("inventory.queue", 2)
    try:
        for _ in range(8):
            customers.order("item1")
        eventually(lambda: harness.count('"order".outbox', "last_error = 'a queue refused it'") >= 5)
    finally:
        harness.unlimit_queue("inventory.queue")
        harness.start_service("inventory")
    eventually(lambda: not harness.outbox_size())


def test_messages_for_a_full_parking_lot_are_parked_later(harness: FaultHarness, customers: Customers) -> None:
    """They are not lost, and do not block other messages."""
    harness.limit_queue("inventory.dlq", 1)
    parked = harness.queue_depth("inventory.dlq")
    poison = [("inventory.queue", b'{"poison": %d}' % number) for number in range(6)]
    try:
        # A queue applies its limit a moment after it has grown too long, later than a burst of messages arrives.
        harness.put_messages(poison[:2])
        eventually(lambda: harness.queue_depth("inventory.dlq") > parked)
        harness.put_messages(poison[2:])
        harness.wait_for_state(customers.order("item1"), "COMPLETED")
        assert harness.queue_depth("inventory.dlq") < parked + 6
    finally:
        harness.unlimit_queue("inventory.dlq")
    eventually(lambda: harness.queue_depth("inventory.dlq") == parked + 6)


def test_a_memory_alarm_leads_to_503_at_the_outbox_limit(harness: FaultHarness, customers: Customers) -> None:
    """The broker accepts no publish; orders are accepted up to the outbox limit. Consumers continue meanwhile."""

    def alarmed() -> bool:
        return bool(harness.api("GET", "nodes")[0]["mem_alarm"])

    def set_watermark(value: str) -> None:
        harness.servers.broker.rabbitmqctl("set_vm_memory_high_watermark", "absolute", value)

    harness.processes.stop("inventory")
    for _ in range(5):
        customers.order("item1")
    eventually(lambda: harness.queue_depth("inventory.queue") == 5)
    set_watermark("1MB")
    try:
        eventually(alarmed)
        harness.start_service("inventory")
        eventually(lambda: not harness.queue_depth("inventory.queue"), 60, "consumers wait for the alarm to end")
        assert harness.outbox_size("inventory") == 5, "the broker accepted a publish during the alarm"
        with customers.ordering(80, seconds=3, cancelling=0):
            eventually(lambda: customers.unavailable, 60, "the outbox exceeded its limit")
            assert harness.outbox_size() > OUTBOX_LIMIT, "an order was refused below the limit"
            assert alarmed()
            refused = httpx.get(f"{harness.metrics_url('order-api')}/readyz")
            assert (refused.status_code, f"[-] outbox: more than {OUTBOX_LIMIT} events" in refused.text) == (503, True)
            assert httpx.get(f"{harness.metrics_url('inventory')}/readyz").is_success, "consumers wait for the alarm"
            set_watermark("2GB")
    finally:
        if alarmed():
            set_watermark("2GB")
    assert {answer.headers["Retry-After"] for answer in customers.unavailable} == {"2"}
