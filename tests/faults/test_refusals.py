"""Wrong certificates, wrong users, forbidden words: loud at who is wrong, and nobody else notices."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools.errors import ProcessFailedError
from devtools.servers.credentials import Certificates
from faults.expired import expired_certificate
from faults.harness import BROKER, Rig
from faults.server_admin import eventually
from services.registry import PROCESSES
from tests.faults.customers import Customers

EXIT_CONFIGURATION = 78


def _fails(rig: Rig, name: str) -> str:
    """The last words of a process that ends by itself, as one that is set up wrongly does."""
    eventually(lambda: name not in rig.processes.pids, 60, f"{name} did not give up")
    with pytest.raises(ProcessFailedError) as failed:
        rig.processes.check()
    rig.processes.kill(name)  # for the books
    assert str(EXIT_CONFIGURATION) in str(failed.value)
    return rig.said(name)


@pytest.fixture
def others(rig: Rig) -> Iterator[None]:
    """Whoever is set up well notices nothing: orders end meanwhile, and no service loses its broker."""
    before = {name: rig.said(name).count("paused: ") for name in PROCESSES}
    yield
    eventually(rig.at_rest, 120)
    assert {name: rig.said(name).count("paused: ") for name in PROCESSES} == before


@pytest.mark.usefixtures("others")
def test_expired_certificate(rig: Rig, customers: Customers, tmp_path: Path) -> None:
    authority = Certificates(rig.folder / "certificates")
    line = rig.lines.open_line(rig.port_of(BROKER), expired_certificate(authority, tmp_path), authority, "amqp")
    with customers.ordering(8, seconds=1):
        rig.replica("payment", "payment-2", **rig.through("payment", line, BROKER))
        assert "certificate has expired" in _fails(rig, "payment-2")


@pytest.mark.usefixtures("others")
def test_wrong_user(rig: Rig, customers: Customers, tmp_path: Path) -> None:
    (tmp_path / "username").write_text("payment")
    (tmp_path / "password").write_text("wrong")
    with customers.ordering(8, seconds=1):
        rig.replica("payment", "payment-2", WARREN_BROKER_CREDENTIALS=str(tmp_path))
        assert "refused the user 'payment'" in _fails(rig, "payment-2")


@pytest.mark.usefixtures("others")
def test_wrong_password_of_the_payment_gateway(rig: Rig, customers: Customers, tmp_path: Path) -> None:
    """Said when the process starts, not at the first charge."""
    (tmp_path / "gateway").write_text("wrong")
    with customers.ordering(8, seconds=1):
        rig.replica("payment", "payment-2", WARREN_GATEWAY_DATABASE_PASSWORD_FILE=str(tmp_path / "gateway"))
        assert "password authentication failed" in _fails(rig, "payment-2")


@pytest.mark.usefixtures("others")
def test_forbidden_verb(rig: Rig, customers: Customers) -> None:
    """Inventory may not speak for orders. What it must not say stays in its outbox; all else it says goes out."""
    order = customers.order("item1")
    eventually(lambda: "order.paid" in rig.story(order))
    paid = rig.sql("SELECT body FROM audit.events WHERE subject = $1 AND type = 'order.paid'", order)
    rig.sql(
        "INSERT INTO inventory.outbox (exchange, body, owner, leased_until) VALUES ('order.exchange', $1, $2, now())",
        bytes(paid[0][0]),
        uuid.uuid4(),
    )
    with customers.ordering(8, seconds=1):
        eventually(lambda: rig.count("inventory.outbox", "last_error LIKE '%lacks a permission%'"))
    assert "refused by the broker, kept in the outbox" in rig.said("inventory")
    eventually(lambda: rig.count("inventory.outbox") == 1)
    rig.sql("DELETE FROM inventory.outbox")
