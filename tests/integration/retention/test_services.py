"""Each service removes only rows that are old, final and no longer needed by a client."""

import math
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from devtools.servers.servers import Servers
from services.audit import store as audit
from services.inventory import store as inventory
from services.notification import store as notification
from services.order import store as order
from services.payment import store as payment
from services.registry import SERVICE_NAMES
from services.shared.channels import store as channels
from services.shipping import store as shipping
from tests.messaging_env import RecordingTelemetry
from tests.service_metrics import reading_gauges
from tests.service_replica import ServiceDatabase
from warren_messaging.postgres.database import Database
from warren_messaging.postgres.retention import Retention, RetentionRule, RetentionSettings

DAYS = 200
QUICK = RetentionSettings(pages=2, rows=3, rest=0.0, min_rest_seconds=0.0)


@pytest.fixture
async def db(servers: Servers, tmp_path: Path) -> AsyncIterator[ServiceDatabase]:
    async with ServiceDatabase(servers, tmp_path) as db:
        await db.prepare(*SERVICE_NAMES)
        yield db


async def apply(db: ServiceDatabase, service: str, *rules: RetentionRule) -> list[int]:
    """Apply the rules now and return the number of removed rows of each."""
    database = Database(db.address(service))
    await database.open()
    retention = Retention(database, RecordingTelemetry(), rules, QUICK)
    await db.sql(
        f'INSERT INTO "{service}".retention (name, due_at) SELECT unnest($1::text[]), now()'
        " ON CONFLICT (name) DO UPDATE SET due_at = now()",
        [rule.name for rule in rules],
    )
    try:
        return [await retention.sweep(rule) for rule in rules]
    finally:
        await database.close()


FINAL_STATES = {
    "order": ("COMPLETED", "CANCELLED"),
    "payment": ("paid", "failed", "voided", "refunded"),
    "inventory": ("sold", "out_of_stock", "released"),
    "shipping": ("delivered", "stopped"),
}
OPEN_STATES = {
    "order": ("PENDING", "CONFIRMED", "PAID", "SHIPPED", "CANCELLING"),
    "payment": ("new", "charging", "cancelled"),
    "inventory": ("unknown", "reserved"),
    "shipping": ("unpaid", "waiting", "prepared"),
}
INSERTS = {
    "order": """INSERT INTO "order".orders (id, customer, fingerprint, lines, total_cents, currency, express, state,
        reason, updated_at) VALUES ($1, 'ada', '', '[]', 1, 'EUR', false, $2,
        CASE WHEN $2 LIKE 'CANCEL%' THEN 'customer' END, now() - make_interval(days => $3))""",
    "payment": """INSERT INTO payment.payments (order_id, state, amount_cents, currency, charge_id, code, changed_at)
        VALUES ($1, $2, 1, 'EUR', 'ch', 'no', now() - make_interval(days => $3))""",
    "inventory": """INSERT INTO inventory.reservations (order_id, state, updated_at)
        VALUES ($1, $2, now() - make_interval(days => $3))""",
    "shipping": """INSERT INTO shipping.shipments (order_id, state, tracking, changed_at) VALUES ($1, $2,
        CASE WHEN $2 IN ('prepared', 'delivered') THEN 'T' END, now() - make_interval(days => $3))""",
}
TABLES = {"order": "orders", "payment": "payments", "inventory": "reservations", "shipping": "shipments"}
KEYS = {"order": "id"}
RULES = {
    "order": order.retention_rules(30, DAYS)[1:],
    "payment": payment.retention_rules(DAYS),
    "inventory": inventory.retention_rules(DAYS),
    "shipping": shipping.retention_rules(DAYS),
}


async def add(db: ServiceDatabase, service: str, state: str, days: int) -> UUID:
    """Insert the row of an order and the counter of its events."""
    order_id = uuid4()
    await db.sql(INSERTS[service], order_id, state, days)
    await db.sql(f'INSERT INTO "{service}".sequences VALUES ($1, 3)', order_id)  # noqa: S608
    return order_id


async def left(db: ServiceDatabase, service: str) -> set[UUID]:
    key = KEYS.get(service, "order_id")
    rows = await db.sql(f'SELECT {key} FROM "{service}".{TABLES[service]}')  # noqa: S608
    numbered = await db.sql(f'SELECT subject FROM "{service}".sequences')  # noqa: S608
    assert {row[0] for row in rows} == {row[0] for row in numbered}, "the counter of an order is removed with its row"
    return {row[0] for row in rows}


@pytest.mark.parametrize("service", FINAL_STATES)
async def test_an_order_is_removed_when_it_has_been_in_a_final_state_for_long(
    db: ServiceDatabase, service: str
) -> None:
    young = {await add(db, service, state, DAYS - 1) for state in FINAL_STATES[service]}
    moving = {await add(db, service, state, DAYS + 400) for state in OPEN_STATES[service]}
    old = [await add(db, service, state, DAYS + 1) for state in FINAL_STATES[service]]
    failing, removed = old[0], old[1:]
    await db.sql(
        f'INSERT INTO "{service}".failures (consumer, key, subject, attempts, reason, state) VALUES'  # noqa: S608
        " ($1, 'a', $2, 1, 'why', 'parked'), ($1, 'b', $3, 1, 'why', 'succeeded')",
        service,
        failing,
        removed[0],
    )
    assert await apply(db, service, *RULES[service]) == [len(removed)]
    assert await left(db, service) == young | moving | {failing}


@pytest.mark.parametrize("service", FINAL_STATES)
async def test_no_order_is_removed_while_an_old_event_waits_to_be_published(db: ServiceDatabase, service: str) -> None:
    old = await add(db, service, FINAL_STATES[service][0], DAYS + 1)
    await db.sql(
        f'INSERT INTO "{service}".outbox (exchange, body, owner, leased_until, created_at)'  # noqa: S608
        " VALUES ('x', '', gen_random_uuid(), now(), now() - interval '2 days')"
    )
    assert await apply(db, service, *RULES[service]) == [0]
    await db.sql(f"UPDATE \"{service}\".outbox SET created_at = now() - interval '1 hour'")  # noqa: S608
    assert await apply(db, service, *RULES[service]) == [1]
    assert old not in await left(db, service)


def test_by_default_orders_are_kept_forever() -> None:
    assert [rule.table for rule in order.retention_rules(30, 0)] == ["idempotency_keys"]
    assert (
        payment.retention_rules(0)
        + inventory.retention_rules(0)
        + shipping.retention_rules(0)
        + audit.retention_rules(0)
        == []
    )


async def test_an_order_is_kept_while_an_idempotency_key_refers_to_it(db: ServiceDatabase) -> None:
    order_id = await add(db, "order", "COMPLETED", DAYS + 1)
    insert = "INSERT INTO \"order\".idempotency_keys VALUES ('ada', $1, '', $2, now() - make_interval(days => $3))"
    await db.sql(insert, "old", order_id, 31)
    await db.sql(insert, "young", order_id, 29)
    rules = order.retention_rules(30, DAYS)
    assert await apply(db, "order", *rules) == [1, 0]
    await db.sql("UPDATE \"order\".idempotency_keys SET created_at = now() - interval '31 days'")
    assert await apply(db, "order", *rules) == [1, 1]


@pytest.mark.parametrize("service", ["email", "sms"])
async def test_unsent_notifications_are_kept(db: ServiceDatabase, service: str) -> None:
    await db.sql(
        f"INSERT INTO {service}.deliveries (id, order_id, topic, state, noted_at, sent_at)"  # noqa: S608
        " SELECT gen_random_uuid(), gen_random_uuid(), 't', state, now() - make_interval(days => days),"
        " CASE state WHEN 'sent' THEN now() END"
        " FROM unnest(ARRAY['sent', 'skipped', 'sending']) AS s (state), unnest(ARRAY[1, 89, 91]) AS d (days)"
    )
    assert await apply(db, service, *channels.retention_rules(90)) == [2]
    found = await db.sql(f"SELECT state FROM {service}.deliveries WHERE noted_at < now() - interval '90 days'")  # noqa: S608
    assert [row[0] for row in found] == ["sending"]


async def test_removed_rows_are_counted_in_the_metrics(db: ServiceDatabase) -> None:
    await db.sql("INSERT INTO sms.retention (name, due_at) VALUES ('inbox', now())")
    await db.sql(
        "INSERT INTO sms.deliveries (id, order_id, topic, state, noted_at) SELECT gen_random_uuid(),"
        " gen_random_uuid(), 't', 'skipped', now() - interval '91 days' FROM generate_series(1, 7)"
    )
    assert await apply(db, "sms", *channels.retention_rules(90)) == [7]
    async with reading_gauges("sms", db.address("sms")) as value:
        assert await value("warren_removed_rows", rule="deliveries") == 7
        assert await value("warren_removed_rows", rule="inbox") == 0
        assert 0 <= await value("warren_retention_sweep_age_seconds", rule="deliveries") < 600
        assert math.isnan(await value("warren_retention_sweep_age_seconds", rule="inbox"))


async def test_addresses_and_waiting_events_are_removed_after_contact_days(db: ServiceDatabase) -> None:
    old, young, quiet = uuid4(), uuid4(), uuid4()
    for order_id, days in ((old, 91), (young, 89), (quiet, 1)):
        await db.sql(
            "INSERT INTO notification.conversations (order_id, last_at) VALUES ($1, now() - make_interval(days => $2))",
            order_id,
            days,
        )
        await db.sql("INSERT INTO notification.sequences VALUES ($1, 1)", order_id)
    for order_id, hours in ((young, 25), (quiet, 23)):
        await db.sql(
            "INSERT INTO notification.waiting VALUES ($1, 't', '', now() - make_interval(hours => $2))", order_id, hours
        )
    assert await apply(db, "notification", *notification.retention_rules(90)) == [1, 1]
    for table, column, expected in (
        ("conversations", "order_id", {young, quiet}),
        ("sequences", "subject", {young, quiet}),
        ("waiting", "order_id", {quiet}),
    ):
        rows = await db.sql(f"SELECT {column} FROM notification.{table}")  # noqa: S608
        assert {row[0] for row in rows} == expected, table


async def test_audit_removes_only_complete_and_old_event_logs(db: ServiceDatabase) -> None:
    ended, going_on = uuid4(), uuid4()
    for subject, days in ((ended, (300, 250, 201)), (going_on, (300, 250, 199))):
        for number, age in enumerate(days, start=1):
            await db.sql(
                "INSERT INTO audit.events (source, subject, sequence, id, logical_id, type, time, recorded_at, body)"
                " VALUES ('s', $1, $2, gen_random_uuid(), gen_random_uuid(), 't', now(),"
                " now() - make_interval(days => $3), '')",
                subject,
                number,
                age,
            )
    assert await apply(db, "audit", *audit.retention_rules(DAYS)) == [3]
    assert {row[0] for row in await db.sql("SELECT subject FROM audit.events")} == {going_on}
    async with db.connection("audit") as service:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await service.execute("DELETE FROM events")
        with pytest.raises(asyncpg.RaiseError, match="at least 180 days"):
            await service.execute("SELECT forget_events(179, '(0,0)', '(9,0)', 100)")
        with pytest.raises(asyncpg.RaiseError):
            await service.execute("SELECT forget_events(NULL, '(0,0)', '(9,0)', 100)")
