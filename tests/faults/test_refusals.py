"""Wrong certificates, wrong users, forbidden words: loud at who is wrong, and nobody else notices."""

import datetime
import uuid
from pathlib import Path

import pytest
import trustme

from loadtest.faults import mailbag
from loadtest.faults.office import eventually
from loadtest.faults.rig import BROKER, Rig
from tests.faults.customers import Customers
from warren.local.certificates import Certificates, ServerCertificate
from warren.local.errors import ProcessFailedError

EXIT_CONFIGURATION = 78
POISON = (b"not JSON", b"[]", b'{"specversion": "1.0"}', b'{"a":' * 50_000, b"\xff\xfe", b'"' + b"x" * 2_000_000 + b'"')


def _fails(rig: Rig, name: str) -> str:
    """The last words of a process that ends by itself, as one that is set up wrongly does."""
    eventually(lambda: name not in rig.processes.pids, 30, f"{name} did not give up")
    with pytest.raises(ProcessFailedError) as failed:
        rig.processes.check()
    rig.processes.kill(name)  # for the books
    assert str(EXIT_CONFIGURATION) in str(failed.value)
    return rig.said(name)


def test_expired_certificate(rig: Rig, customers: Customers, tmp_path: Path) -> None:
    authority = Certificates(rig.folder / "certificates")
    issuer = trustme.CA.from_pem(authority.ca_file.read_bytes(), (authority.folder / "ca.key").read_bytes())
    yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    issued = issuer.issue_cert("127.0.0.1", "localhost", not_after=yesterday)
    expired = ServerCertificate(tmp_path / "expired.pem", tmp_path / "expired.key")
    issued.private_key_pem.write_to_path(expired.key_file)
    expired.chain_file.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    line = rig.lines.open_line(rig.port_of(BROKER), expired, authority, "amqp")
    with customers.ordering(8, seconds=1):
        rig.replica("payment", "payment-2", **rig.through("payment", line, BROKER))
        assert "certificate has expired" in _fails(rig, "payment-2")


def test_wrong_user(rig: Rig, customers: Customers, tmp_path: Path) -> None:
    (tmp_path / "username").write_text("payment")
    (tmp_path / "password").write_text("wrong")
    with customers.ordering(8, seconds=1):
        rig.replica("payment", "payment-2", WARREN_BROKER_CREDENTIALS=str(tmp_path))
        assert "refused the user 'payment'" in _fails(rig, "payment-2")


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


def test_poison(rig: Rig, customers: Customers) -> None:
    """Each kind into each queue while orders go through: parked once, and no order waits for it."""
    queues = [f"{name}.queue" for name in ("inventory", "payment", "shipping", "order", "notification", "email")]
    parked = {queue: rig.depth(queue.replace(".queue", ".dlq")) for queue in queues}
    with customers.ordering(12, seconds=1):
        mailbag.put(rig, [(queue, body) for body in POISON for queue in queues])
    for queue in queues:
        lot = queue.replace(".queue", ".dlq")
        eventually(lambda queue=queue, lot=lot: rig.depth(lot) == parked[queue] + len(POISON), 20, lot)
