"""Wrong certificates, passwords and events: the process that has them reports it, and no other process is affected."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools.errors import ProcessFailedError
from faults.harness import BROKER, FaultHarness, eventually
from services.registry import PROCESSES
from tests.faults.customers import Customers

EXIT_CONFIGURATION = 78
REPLICA = "payment-2"


@pytest.fixture(autouse=True)
def others_unaffected(harness: FaultHarness) -> Iterator[None]:
    """All orders end, and no service loses its connection to the broker."""

    def pauses() -> dict[str, int]:
        return {name: harness.log(name).count("paused: ") for name in PROCESSES}

    before = pauses()
    yield
    eventually(harness.is_idle, 120)
    assert pauses() == before


def _assert_replica_refuses(harness: FaultHarness, customers: Customers, reason: str, **settings: str) -> None:
    """A further payment process with these settings ends with a configuration error and logs the reason."""
    with customers.ordering(8, seconds=1):
        harness.start_replica("payment", REPLICA, **settings)
        eventually(lambda: REPLICA not in harness.processes.pids, 60, f"{REPLICA} still runs")
        with pytest.raises(ProcessFailedError) as failed:
            harness.processes.check()
        harness.processes.kill(REPLICA)  # tells the supervisor that the exit was expected
        assert str(EXIT_CONFIGURATION) in str(failed.value)
        assert reason in harness.log(REPLICA)


def test_an_expired_certificate_of_the_broker_ends_the_process(harness: FaultHarness, customers: Customers) -> None:
    settings = harness.settings_via("payment", harness.frame_proxy(BROKER, expired=True), BROKER)
    _assert_replica_refuses(harness, customers, "certificate has expired", **settings)


def test_a_wrong_password_of_the_broker_ends_the_process(
    harness: FaultHarness, customers: Customers, tmp_path: Path
) -> None:
    (tmp_path / "username").write_text("payment")
    (tmp_path / "password").write_text("wrong")
    settings = {"WARREN_BROKER_CREDENTIALS": str(tmp_path)}
    _assert_replica_refuses(harness, customers, "refused the user 'payment'", **settings)


def test_a_wrong_password_of_the_payment_gateway_ends_the_process(
    harness: FaultHarness, customers: Customers, tmp_path: Path
) -> None:
    """It is reported at the start, not at the first charge."""
    (tmp_path / "gateway").write_text("wrong")
    settings = {"WARREN_GATEWAY_DATABASE_PASSWORD_FILE": str(tmp_path / "gateway")}
    _assert_replica_refuses(harness, customers, "password authentication failed", **settings)


def test_a_forbidden_event_stays_in_the_outbox(harness: FaultHarness, customers: Customers) -> None:
    """Inventory may not publish events of the order service; its own events are published meanwhile."""
    order_id = customers.order("item1")
    eventually(lambda: "order.paid" in harness.event_types(order_id))
    paid = harness.sql("SELECT body FROM audit.events WHERE subject = $1 AND type = 'order.paid'", order_id)
    harness.sql(
        "INSERT INTO inventory.outbox (exchange, body, owner, leased_until) VALUES ('order.exchange', $1, $2, now())",
        bytes(paid[0][0]),
        uuid.uuid4(),
    )
    with customers.ordering(8, seconds=1):
        eventually(lambda: harness.count("inventory.outbox", "last_error LIKE '%lacks a permission%'"))
    assert "event refused" in harness.log("inventory")
    eventually(lambda: harness.count("inventory.outbox") == 1)
    harness.sql("DELETE FROM inventory.outbox")
