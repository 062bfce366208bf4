"""Payments after their deadline, and clocks that are wrong."""

import re
import signal

from faults.harness import FaultHarness, eventually
from tests.faults.customers import Customers


def test_a_late_payment_is_refunded(harness: FaultHarness, customers: Customers) -> None:
    """The payment service is frozen after the gateway has charged one order; four more orders wait for the service.
    After the deadline all five are cancelled, and the charge is refunded."""
    harness.set_failpoint("payment", "before result", number=signal.SIGSTOP)
    charged = customers.order("item1")
    eventually(lambda: harness.failpoint_hit("payment") and harness.is_frozen("payment"))
    waiting = [customers.order("item2") for _ in range(4)]
    eventually(lambda: harness.count_orders("state = 'CONFIRMED'") == 5)
    assert harness.count("gateway.entries", f"key = '{charged}'") == 1
    harness.sql("UPDATE \"order\".orders SET deadline = now() WHERE state = 'CONFIRMED'")
    eventually(lambda: harness.count_orders("state = 'CANCELLING'") == 5)
    harness.thaw("payment")
    for order_id in (charged, *waiting):
        harness.wait_for_state(order_id, "CANCELLED")
        assert harness.count_orders(f"id = '{order_id}' AND reason = 'payment_timeout'")
    eventually(lambda: "order.cancelled" in harness.event_types(charged))
    assert {"payment.success", "payment.refunded"} <= set(harness.event_types(charged))
    for order_id in waiting:
        # Never charged, or charged and refunded.
        assert harness.count("gateway.entries", f"key = '{order_id}'") in {0, 2}


def test_wrong_clocks_change_no_deadline_and_no_lease(harness: FaultHarness, customers: Customers) -> None:
    """Four processes have clocks an hour fast or slow; deadlines, leases and waits use the database's clock."""
    fast, slow = ("order-api", "shipping"), ("order-worker", "payment")
    # Leases as in production: on a busy machine an event may wait longer than two seconds for its publish.
    harness.restart_services(*fast, FAULT_SKEW_SECONDS="3600", FAULT_LEASE_SECONDS="60")
    harness.restart_services(*slow, FAULT_SKEW_SECONDS="-3600", FAULT_LEASE_SECONDS="60")
    repeated = _repeated_events(harness)
    order_ids = [customers.order("item3") for _ in range(4)]
    unpaid = customers.order("item3", paymentToken="tok_abandoned")
    left = harness.sql('SELECT extract(epoch FROM deadline - now()) FROM "order".orders WHERE id = $1', unpaid)[0][0]
    assert 800 < left <= 900, "the deadline is not fifteen minutes from now by the database's clock"
    for order_id in order_ids:
        harness.wait_for_state(order_id, "COMPLETED")
    harness.wait_for_state(unpaid, "CONFIRMED")
    harness.sql("UPDATE \"order\".orders SET deadline = now() + interval '1 s' WHERE id = $1", unpaid)
    assert harness.count_orders(f"id = '{unpaid}' AND state = 'CONFIRMED' AND deadline > now()")
    harness.wait_for_state(unpaid, "CANCELLED")
    eventually(harness.is_idle)
    # By the clocks that are fast, every lease of another process ended an hour ago.
    assert _repeated_events(harness) == repeated, "a process took over an event whose lease had not ended"
    harness.restart_services(*fast, *slow)


def _repeated_events(harness: FaultHarness) -> list[str]:
    """Events of the services with wrong clocks that audit received more than once."""
    return re.findall(r"delivery repeated ((?:order|shipping|payment)\..*)", harness.log("audit"))
