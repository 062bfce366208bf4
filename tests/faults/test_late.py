"""What comes when its time is over."""

import re
import signal

from faults.harness import Rig
from faults.server_admin import eventually
from tests.faults.customers import Customers


def test_payment_silent_then_late(rig: Rig, customers: Customers) -> None:
    """The gateway has charged and the payment service stands still with the news until the deadline has passed; four
    more orders it never got to. All are cancelled, and the late success is refunded."""
    rig.arm("payment", "before result", number=signal.SIGSTOP)
    late = customers.order("item1")
    eventually(lambda: rig.sprung("payment") and rig.stands_still("payment"))
    silent = [customers.order("item2") for _ in range(4)]
    eventually(lambda: rig.orders("state = 'CONFIRMED'") == 5)
    assert rig.count("gateway.entries", f"key = '{late}'") == 1
    rig.sql("UPDATE \"order\".orders SET deadline = now() WHERE state = 'CONFIRMED'")
    eventually(lambda: rig.orders("state = 'CANCELLING'") == 5)
    rig.thaw("payment")
    for order in (late, *silent):
        gone = f"id = '{order}' AND state = 'CANCELLED' AND reason = 'payment_timeout'"
        eventually(lambda gone=gone: rig.orders(gone))
    eventually(lambda: "order.cancelled" in rig.story(late))
    assert {"payment.success", "payment.refunded"} <= set(rig.story(late))
    for order in silent:
        assert rig.count("gateway.entries", f"key = '{order}'") in {0, 2}


def test_clock_skew(rig: Rig, customers: Customers) -> None:
    """Clocks are an hour off, in both directions: deadlines, leases and waits go by the database's."""
    ahead, behind = ("order-api", "shipping"), ("order-worker", "payment")
    # Leases as in production: on a busy machine two seconds may be over before an event is published.
    rig.renew(*ahead, FAULT_SKEW_SECONDS="3600", FAULT_LEASE_SECONDS="60")
    rig.renew(*behind, FAULT_SKEW_SECONDS="-3600", FAULT_LEASE_SECONDS="60")
    heard_twice = _heard_twice(rig)
    orders = [customers.order("item3") for _ in range(4)]
    unpaid = customers.order("item3", paymentToken="tok_abandoned")
    left = rig.sql('SELECT extract(epoch FROM deadline - now()) FROM "order".orders WHERE id = $1', unpaid)[0][0]
    assert 800 < left <= 900, "the deadline is fifteen minutes from now, by the database"
    for order in orders:
        eventually(lambda order=order: rig.orders(f"id = '{order}' AND state = 'COMPLETED'"))
    confirmed = f"id = '{unpaid}' AND state = 'CONFIRMED'"
    eventually(lambda: rig.orders(confirmed))
    rig.sql("UPDATE \"order\".orders SET deadline = now() + interval '1 s' WHERE id = $1", unpaid)
    assert rig.orders(f"{confirmed} AND deadline > now()")
    eventually(lambda: rig.orders(f"id = '{unpaid}' AND state = 'CANCELLED'"))
    eventually(rig.at_rest)
    # By the clocks of those that are ahead, every lease of the others has ended an hour ago.
    assert _heard_twice(rig) == heard_twice, "somebody took an event that was another's"
    rig.renew(*ahead, *behind)


def _heard_twice(rig: Rig) -> list[str]:
    """What audit got more than once of those whose clocks are wrong."""
    return re.findall(r"repeated, no effect ((?:order|shipping|payment)\..*)", rig.said("audit"))
