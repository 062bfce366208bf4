"""Events that the broker cannot route: they stay visible, and are delivered once they can be routed."""

from faults.chaos.replays import replay_unrouted
from faults.harness import FaultHarness, eventually
from tests.faults.customers import Customers


def test_events_without_a_service_are_kept_and_replayed(harness: FaultHarness, customers: Customers) -> None:
    """Events that no service's queue is bound to go to unrouted.queue."""
    harness.unbind("workflow.exchange", "q", "order.queue", "shipping.delivered")
    try:
        for _ in range(5):
            customers.order("item4")
        eventually(lambda: harness.queue_depth("unrouted.queue") == 5)
        eventually(lambda: harness.count_orders("state = 'SHIPPED'") == 5)
    finally:
        harness.restore_topology()
    assert replay_unrouted(harness, "shipping.delivered", ["order.queue"]) == 5
    eventually(lambda: not harness.count_orders("state = 'SHIPPED'"))


def test_events_without_any_queue_stay_in_the_outbox(harness: FaultHarness, customers: Customers) -> None:
    for target in ("audit.fanout.exchange", "workflow.exchange"):
        harness.unbind("order.exchange", "e", target, "#")
    try:
        for _ in range(5):
            customers.order("item4")
        eventually(lambda: harness.count('"order".outbox', "last_error = 'no queue took it'") == 5)
        assert "ERROR event returned order.created" in harness.log("order-api")
    finally:
        harness.restore_topology()
    eventually(lambda: not harness.outbox_size())
