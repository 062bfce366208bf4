"""The log on the real database: it keeps every event, and no role can change it."""

import asyncio
import random
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest

import services.audit
from services.audit.handlers import HANDLERS, on_event
from services.audit.store import EventLog
from services.shared.contracts import CATALOGUE, AnyEvent
from services.shared.contracts.inventory import InventoryReserved
from services.shared.contracts.orders import Contact, Line, OrderConfirmed, OrderCreated, OrderPaid
from tests.service_replica import Replica, ServiceDatabase, replica
from warren_messaging import codec
from warren_messaging.codec import Codec, OpaqueEvent
from warren_messaging.consumer.delivery import Verdict
from warren_messaging.testing import event_of, with_new_ids


def event(order_id: UUID, sequence: int = 1, source: str = "/warren/order") -> AnyEvent:
    data = OrderPaid(customer="ada", total_cents=100, currency="EUR")
    return event_of(data, subject=order_id, sourcesequence=sequence, source=source, reference="A-1")


def with_(body: bytes, **members: Any) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(body) | members)


async def rows(db: ServiceDatabase, order_id: UUID, table: str = "events") -> list[Any]:
    return await db.sql(f"SELECT * FROM audit.{table} WHERE subject = $1 ORDER BY source, sequence", order_id)  # noqa: S608


async def test_an_event_is_kept_as_it_was_received(db: ServiceDatabase, audit: Replica) -> None:
    sent = event(uuid4())
    assert await audit.process(sent) == [Verdict.ACK]
    [row] = await rows(db, sent.subject)
    assert (row["source"], row["sequence"], row["id"], row["logical_id"], row["type"], row["reference"]) == (
        "/warren/order",
        1,
        sent.id,
        sent.logicalid,
        "order.paid",
        "A-1",
    )
    assert row["time"] == sent.time
    assert row["body"] == codec.encode(sent)


async def test_unknown_types_and_unknown_fields_are_kept(db: ServiceDatabase, audit: Replica) -> None:
    order_id = uuid4()
    data = {"customer": "ada", "totalCents": 100, "currency": "EUR", "later": {"nested": [1, 2.50]}}
    known = with_(codec.encode(event(order_id, 1)), data=data)
    unknown = with_(codec.encode(event(order_id, 2)), type="loyalty.points_granted", data=["anything"])
    broken = with_(codec.encode(event(order_id, 3)), data={"totalCents": "not a number"})
    assert await audit.process(known, unknown, broken) == [Verdict.ACK] * 3
    kept = [msgspec.json.decode(row["body"])["data"] for row in await rows(db, order_id)]
    assert kept == [data, ["anything"], {"totalCents": "not a number"}]


async def test_a_batch_in_any_order_with_repetitions_is_kept_once(db: ServiceDatabase, audit: Replica) -> None:
    order_id = uuid4()
    events = [
        event(order_id, number, f"/warren/{source}") for number in range(1, 31) for source in ("order", "payment")
    ]
    arriving = events + events[::3]
    random.shuffle(arriving)
    for start in range(0, len(arriving), 17):
        batch = arriving[start : start + 17]
        assert set(await audit.process(*batch)) == {Verdict.ACK}
    assert {row["id"] for row in await rows(db, order_id)} == {each.id for each in events}
    assert await rows(db, order_id, "contradictions") == []


async def test_a_repetition_without_its_inbox_entry_changes_nothing(db: ServiceDatabase, audit: Replica) -> None:
    order_id = uuid4()
    first, second = event(order_id, 1), event(order_id, 2)
    await audit.process(first)
    before = await rows(db, order_id)
    await db.sql("DELETE FROM audit.inbox WHERE dedup_key = $1", first.logicalid)
    assert await audit.process(first, second) == [Verdict.ACK] * 2
    after = await rows(db, order_id)
    assert after[0] == before[0]
    assert len(after) == 2
    assert await rows(db, order_id, "contradictions") == []


@pytest.mark.parametrize("together", [True, False])
async def test_a_contradiction_is_kept_and_logged(
    db: ServiceDatabase, audit: Replica, together: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    order_id = uuid4()
    one = event(order_id)
    other = with_new_ids(one)
    batches = [[one, other, event(order_id, 2)]] if together else [[one], [other, event(order_id, 2)]]
    for batch in batches:
        assert set(await audit.process(*batch)) == {Verdict.ACK}
    kept, beside = await rows(db, order_id), await rows(db, order_id, "contradictions")
    assert len(kept) == 2
    assert [row["sequence"] for row in beside] == [1]
    assert {kept[0]["id"], beside[0]["id"]} == {one.id, other.id}
    assert msgspec.json.decode(beside[0]["body"])["id"] == str(beside[0]["id"])
    assert "contradicting events" in capsys.readouterr().out


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    "changes", [{"data": {"customer": "eve"}}, {"sourcesequence": 7}, {"time": "2026-01-02T03:04:05Z"}, {"extra": 1}]
)
async def test_a_repeated_id_with_other_content_is_a_contradiction(
    db: ServiceDatabase, audit: Replica, changes: dict[str, Any], together: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    one = codec.encode(event(uuid4()))
    other = with_(one, **changes)
    for batch in [[one, one, other, one]] if together else [[one], [one], [other], [one]]:
        assert set(await audit.process(*batch)) == {Verdict.ACK}
    order_id = UUID(msgspec.json.decode(one)["subject"])
    assert [row["body"] for row in await rows(db, order_id)] == [one]
    assert [row["body"] for row in await rows(db, order_id, "contradictions")] == [other]
    assert capsys.readouterr().out.count("same=id") == 1


async def test_unknown_attributes_are_kept_byte_for_byte(db: ServiceDatabase, audit: Replica) -> None:
    order_id = uuid4()
    body = codec.encode(event(order_id)).replace(b'"time"', b'"vendor" :  {"a": [1e2, "\\n", "\\u20ac"]}, "time"')
    assert await audit.process(body) == [Verdict.ACK]
    assert [row["body"] for row in await rows(db, order_id)] == [body]


async def test_neither_payment_token_nor_address_is_kept(db: ServiceDatabase, audit: Replica) -> None:
    contact = Contact(email="ada@example.test", phone="+94112345678")
    data = OrderCreated(
        customer="ada", lines=[Line("mug", 1)], total_cents=1, currency="EUR", payment_token="tok_x", contact=contact
    )
    created = event_of(data, reference="A-1")
    repeated = with_(codec.encode(created), data=msgspec.to_builtins(data) | {"paymentToken": "tok_y"})
    reserved = InventoryReserved(customer="ada", total_cents=1, currency="EUR", payment_token="tok_x")
    await audit.process(created, repeated, event_of(reserved, subject=created.subject))
    whole = [row["body"] for table in ("events", "contradictions") for row in await rows(db, created.subject, table)]
    assert len(whole) >= 2
    for body in whole:
        assert not any(word in body for word in (b"tok_", b"ada@", b"+94"))
    [kept] = [row["body"] for row in await rows(db, created.subject) if row["type"] == "order.created"]
    hidden = Contact(email="***", phone="***")
    assert Codec(CATALOGUE).decode(kept).data == msgspec.structs.replace(data, payment_token="***", contact=hidden)


async def test_the_migration_removes_only_tokens_and_addresses(db: ServiceDatabase) -> None:
    hidden = [r'"tok_ok"', r'"a\"b\\"', r'"\\\\"', '"\u00e4\u2603"', r'"\u0000"', '""', "null"]
    before = {
        uuid4(): b'{"data":{"x":"a\xff\\","paymentToken":%b,"contact":{"email":%b,"phone":%b}},"y":1}'
        % (one, other, one)
        for one in (each.encode() for each in hidden)
        for other in (each.encode() for each in hidden)
    }
    columns = "source, subject, sequence, id, logical_id, type, time, body"
    for table in ("events", "contradictions"):
        await db.sql(
            f"INSERT INTO audit.{table} ({columns})"  # noqa: S608
            " SELECT 's', id, 1, id, id, 'order.created', now(), body"
            " FROM unnest($1::uuid[], $2::bytea[]) AS t (id, body)",
            list(before),
            list(before.values()),
        )
    migration = (Path(services.audit.__file__).parent / "migrations/0003_no_tokens_no_addresses.sql").read_text()
    for statement in migration.split("-- migrate:down")[0].split(";")[:-1]:
        await db.sql(statement.replace("UPDATE ", "UPDATE audit."))
    for table in ("events", "contradictions"):
        for order_id, body in before.items():
            [row] = await rows(db, order_id, table)
            assert row["body"] == re.sub(rb'("paymentToken"|"email"|"phone"):"([^"\\]|\\.)*"', rb'\1:"***"', body)


async def test_concurrent_replicas_keep_each_event_once(db: ServiceDatabase, audit: Replica) -> None:
    order_id = uuid4()
    events = [event(order_id, number) for number in range(1, 101)]
    contradicting = [with_new_ids(each) for each in events[:10]]

    async def work(one: Replica, arriving: list[AnyEvent]) -> None:
        random.shuffle(arriving)
        for start in range(0, len(arriving), 20):
            assert set(await one.process(*arriving[start : start + 20])) == {Verdict.ACK}

    async with replica(db, "audit", HANDLERS, EventLog, Codec({}, tolerant=True)) as other:
        await asyncio.gather(work(audit, events[:]), work(other, events + contradicting))
    found = {row["id"] for table in ("events", "contradictions") for row in await rows(db, order_id, table)}
    assert found == {each.id for each in events + contradicting}
    assert len(await rows(db, order_id)) == 100


async def test_unusual_but_readable_events_are_kept(db: ServiceDatabase, audit: Replica) -> None:
    order_id = uuid4()
    odd = with_(codec.encode(event(order_id, 1)), type="loyalty.odd", data={"a": "\n"})
    no_zone = with_(codec.encode(event(order_id, 2)), time="2026-01-02T03:04:05")
    assert await audit.process(odd, no_zone) == [Verdict.ACK] * 2
    one, two = await rows(db, order_id)
    assert one["body"] == odd
    assert two["time"] == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


async def test_an_unreadable_event_is_parked_without_its_batch(db: ServiceDatabase, audit: Replica) -> None:
    order_id = uuid4()
    verdicts = await audit.process(
        b"nonsense", event(order_id, 1), with_(codec.encode(event(order_id)), sourcesequence=2**31), event(order_id, 2)
    )
    assert verdicts == [Verdict.DEAD_LETTER, Verdict.ACK, Verdict.DEAD_LETTER, Verdict.ACK]
    assert [row["sequence"] for row in await rows(db, order_id)] == [1, 2]


@pytest.mark.parametrize("table", ["events", "contradictions"])
@pytest.mark.parametrize(
    "statement",
    ["UPDATE {} SET type = 'x'", "DELETE FROM {}", "TRUNCATE {}", "DROP TABLE {}", "ALTER TABLE {} ADD x int"],
)
async def test_the_log_cannot_be_changed_by_the_service(
    db: ServiceDatabase, audit: Replica, table: str, statement: str
) -> None:
    sent = event_of(OrderConfirmed(customer="ada"))
    await audit.process(sent)
    async with db.connection("audit") as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement.format(table))
        assert await connection.fetchval("SELECT count(*) FROM events WHERE subject = $1", sent.subject) == 1


def _opaque(event: AnyEvent) -> OpaqueEvent:
    opaque = Codec({}, tolerant=True).decode(codec.encode(event))
    assert isinstance(opaque, OpaqueEvent)
    return opaque


async def test_a_batch_costs_as_many_statements_as_one_event(audit: Replica) -> None:
    counted = []
    for size in (1, 1, 100):  # the first one also asks for the types of the columns
        statements: list[str] = []
        async with audit.database.connection() as connection:
            connection.add_query_logger(lambda query, into=statements: into.append(query.query))
            log = EventLog(connection)
            for _ in range(size):
                await on_event(_opaque(event(uuid4())), log)
            await log.save()
        counted.append(len(statements))
    assert counted[1:] == [1, 1]
