"""Messages that can never succeed: into every queue while orders go through, raw, past every service."""

import hashlib
import json
import uuid
from typing import Any

import aiormq
import pytest

from faults import queues
from faults.harness import Rig
from faults.server_admin import eventually
from services.registry import QUEUES
from tests.faults.customers import Customers
from tests.undecodable import UNDECODABLE

ENVELOPE: dict[str, Any] = {
    "specversion": "1.0",
    "id": "01980000-0000-7000-8000-000000000001",
    "source": "/warren/order",
    "type": "order.created",
    "subject": "01980000-0000-7000-8000-000000000002",
    "time": "2026-11-22T07:00:00Z",
    "logicalid": "01980000-0000-7000-8000-000000000001",
    "sourcesequence": 1,
    "data": {},
}
BROKERS_LIMIT = 16 * 1024 * 1024  # bytes


def event(number: int, **other: Any) -> bytes:
    return json.dumps(ENVELOPE | {"id": _id(number), "logicalid": _id(number)} | other).encode()


def _id(number: int) -> str:
    return str(uuid.UUID(int=uuid.UUID(ENVELOPE["id"]).int + number))


POISON = {
    "bad JSON": (b"{not JSON", "not JSON"),
    "bad bytes": (b"\xff\xfe", "not JSON"),
    "nothing": (b"", "not JSON"),
    "no event": (b'{"specversion": "1.0"}', "not a CloudEvent"),
    "version": (event(1, specversion="2.0"), "version '2.0'"),
    "number": (event(2, sourcesequence=0), "$.sourcesequence"),
    "unknown type": (event(3, type="order.sung"), "order.sung"),
    "schema": (event(4, type="order.cancelling", data={"participants": 7}), "data of order.cancelling"),
    "oversize": (b'"' + b"x" * 2_000_000 + b'"', "over the limit"),
    "invalid UTF-8 within a name": (event(5).replace(b"{}", b'{"customer": "ad\xff\xfe"}'), "is not UTF-8"),
    "NUL in an attribute": (event(6, reference="a\0b"), "not plain text"),
    "deep nesting": (b'{"a":' * 50_000, "nested too deeply"),
}
"""By kind: the body, and what the reason on record says of it."""
KEEPS_ALL = {"unknown type", "schema"}
"""Audit keeps every event, whatever its data."""


def test_poison(rig: Rig, customers: Customers) -> None:
    """Each kind into each queue: parked at the first try with its reason, and what comes next proceeds."""
    sent = {
        queue: {kind: body for kind, (body, _) in POISON.items() if queue != "audit.queue" or kind not in KEEPS_ALL}
        for queue in QUEUES
    }
    before = rig.depths()
    with customers.ordering(12, seconds=1):
        queues.put(rig, [(queue, body) for queue, bodies in sent.items() for body in bodies.values()])
        order = customers.order("item1")
        eventually(lambda: rig.orders(f"id = '{order}' AND state = 'COMPLETED'"))
    for queue, bodies in sent.items():
        lot = queue.replace(".queue", ".dlq")
        filled = before[lot] + len(bodies)
        eventually(lambda lot=lot, filled=filled: rig.depth(lot) == filled, 60, lot)
        for kind, body in bodies.items():
            state, attempts, reason = _on_record(rig, queue.removesuffix(".queue"), body)
            assert (state, attempts) == ("parked", 1), f"{kind} in {queue}: {state} after {attempts}"
            assert POISON[kind][1] in reason or "has no handler" in reason, f"{kind} in {queue}: {reason}"


def test_undecodable_properties(rig: Rig, customers: Customers) -> None:
    """Each kind into each queue, as fast as the broker takes them: no consumer loses its connection over one."""
    bodies = {kind: f"{{not JSON {kind}".encode() for kind in UNDECODABLE}
    before = rig.depths()
    with customers.ordering(12, seconds=1):
        for kind, properties in UNDECODABLE.items():
            queues.put(rig, [(queue, bodies[kind]) for queue in QUEUES], properties)
        order = customers.order("item1")
        eventually(lambda: rig.orders(f"id = '{order}' AND state = 'COMPLETED'"))
    for queue in QUEUES:
        lot = queue.replace(".queue", ".dlq")
        filled = before[lot] + len(bodies)
        eventually(lambda lot=lot, filled=filled: rig.depth(lot) == filled, 60, lot)
        for kind, body in bodies.items():
            state, attempts, reason = _on_record(rig, queue.removesuffix(".queue"), body)
            assert (state, attempts) == ("parked", 1), f"{kind} in {queue}: {state} after {attempts}"
            assert "not JSON" in reason, f"{kind} in {queue}: {reason}"


def _on_record(rig: Rig, service: str, body: bytes) -> tuple[str, int, str]:
    """What no one could read is on record under its hash, an event under its id."""
    keys = [hashlib.sha256(body).hexdigest(), *(_id(number) for number in range(7) if _id(number).encode() in body)]
    rows = rig.sql(f'SELECT state, attempts, reason FROM "{service}".failures WHERE key = ANY($1)', keys)  # noqa: S608
    return next(tuple(row) for row in rows)


def test_poison_over_the_brokers_limit(rig: Rig, customers: Customers) -> None:
    """More than 16 MiB closes the channel of whoever sends it, and no other. In an outbox such a row is kept with the
    reason, and what comes next is published."""
    body = event(7, data="x" * BROKERS_LIMIT)
    with customers.ordering(8, seconds=1):
        with pytest.raises(aiormq.exceptions.ChannelPreconditionFailed):
            queues.put(rig, [("payment.queue", body)])
        rig.sql(
            "INSERT INTO payment.outbox (exchange, body, owner, leased_until) VALUES ('order.exchange', $1, $2, now())",
            body,
            uuid.uuid4(),
        )
        eventually(lambda: rig.count("payment.outbox", "last_error LIKE '%over the limit%'"))
    eventually(lambda: rig.waiting("payment") == 1)
    rig.sql("DELETE FROM payment.outbox")
    # Some connection may end for want of time on a busy machine, but none for the size of a message.
    assert [name for name in rig.processes.pids if "PRECONDITION" in rig.said(name)] == []
