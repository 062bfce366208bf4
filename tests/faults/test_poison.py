"""Messages that no consumer can process, put into every queue while orders go through."""

import hashlib
import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import aiormq
import pytest

from faults.harness import FaultHarness, eventually
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
BROKER_LIMIT = 16 * 1024 * 1024  # bytes


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
"""By kind: the body, and a part of the recorded reason."""
ACCEPTED_BY_AUDIT = {"unknown type", "schema"}
"""Audit stores every event, whatever its data."""


def test_poison_messages_are_parked_at_the_first_attempt(harness: FaultHarness, customers: Customers) -> None:
    def sent_to(queue: str) -> dict[str, bytes]:
        accepted = ACCEPTED_BY_AUDIT if queue == "audit.queue" else set()
        return {kind: body for kind, (body, _) in POISON.items() if kind not in accepted}

    sent = {queue: sent_to(queue) for queue in QUEUES}

    def put() -> None:
        harness.put_messages([(queue, body) for queue, bodies in sent.items() for body in bodies.values()])

    for kind, queue, reason in _parked_under_load(harness, customers, sent, put):
        assert POISON[kind][1] in reason or "has no handler" in reason, f"{kind} in {queue}: {reason}"


def test_messages_with_undecodable_properties_are_parked(harness: FaultHarness, customers: Customers) -> None:
    """Their bodies are poison too; no consumer loses its connection over the properties."""
    sent = {queue: {kind: f"{{not JSON {kind}".encode() for kind in UNDECODABLE} for queue in QUEUES}

    def put() -> None:
        for kind, properties in UNDECODABLE.items():
            harness.put_messages([(queue, sent[queue][kind]) for queue in QUEUES], properties)

    for kind, queue, reason in _parked_under_load(harness, customers, sent, put):
        assert "not JSON" in reason, f"{kind} in {queue}: {reason}"


def _parked_under_load(
    harness: FaultHarness, customers: Customers, sent: Mapping[str, Mapping[str, bytes]], put: Callable[[], None]
) -> list[tuple[str, str, str]]:
    """Put messages into queues while customers order, and wait until all of them are parked after one attempt.

    `sent` are the bodies by queue and kind. Returns the kind, the queue and the recorded reason of each message.
    """
    before = harness.queue_depths()
    with customers.ordering(12, seconds=1):
        put()
        harness.wait_for_state(customers.order("item1"), "COMPLETED")
    found = []
    for queue, bodies in sent.items():
        lot = queue.replace(".queue", ".dlq")
        depth = before[lot] + len(bodies)
        eventually(lambda lot=lot, depth=depth: harness.queue_depth(lot) == depth, 60, lot)
        for kind, body in bodies.items():
            state, attempts, reason = _recorded_failure(harness, queue.removesuffix(".queue"), body)
            assert (state, attempts) == ("parked", 1), f"{kind} in {queue}: {state} after {attempts}"
            found.append((kind, queue, reason))
    return found


def _recorded_failure(harness: FaultHarness, service: str, body: bytes) -> tuple[str, int, str]:
    """The key of a failure is the id of an event, or the hash of a body that is not an event."""
    keys = [hashlib.sha256(body).hexdigest(), *(_id(number) for number in range(7) if _id(number).encode() in body)]
    rows = harness.sql(f'SELECT state, attempts, reason FROM "{service}".failures WHERE key = ANY($1)', keys)  # noqa: S608
    return next(tuple(row) for row in rows)


def test_a_message_over_the_brokers_limit_stays_in_the_outbox(harness: FaultHarness, customers: Customers) -> None:
    """More than 16 MiB closes the channel of its sender, and no other. The outbox keeps it with the reason, and later
    events are published."""
    body = event(7, data="x" * BROKER_LIMIT)
    with customers.ordering(8, seconds=1):
        with pytest.raises(aiormq.exceptions.ChannelPreconditionFailed):
            harness.put_messages([("payment.queue", body)])
        harness.sql(
            "INSERT INTO payment.outbox (exchange, body, owner, leased_until) VALUES ('order.exchange', $1, $2, now())",
            body,
            uuid.uuid4(),
        )
        eventually(lambda: harness.count("payment.outbox", "last_error LIKE '%over the limit%'"))
    eventually(lambda: harness.outbox_size("payment") == 1)
    harness.sql("DELETE FROM payment.outbox")
    # On a busy machine a connection may time out, but none is closed for the size of a message.
    assert [name for name in harness.processes.pids if "PRECONDITION" in harness.log(name)] == []
