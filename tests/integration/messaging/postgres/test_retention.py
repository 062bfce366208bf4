"""Retention removes old rows and keeps needed ones, beside other writers and after any interruption."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest

from devtools.paths import CHECKOUT
from devtools.servers.servers import Servers
from services.shared.contracts import Event, EventData
from services.shared.contracts.orders import OrderConfirmed, OrderPaid
from tests.integration.messaging.postgres import retention_process
from tests.integration.messaging.postgres.retention_process import RetentionProcessSettings
from tests.messaging_env import eventually
from tests.service_replica import ServiceDatabase, replica
from warren_messaging.postgres import retention
from warren_messaging.postgres.database import Database
from warren_messaging.postgres.retention import Retention, RetentionRule, RetentionSettings
from warren_messaging.testing import event_of
from warren_messaging.testing.recording_telemetry import RecordingTelemetry
from warren_messaging.transaction import Transaction

DAYS = 35
QUICK = RetentionSettings(pages=4, rows=100, rest=0.0, min_rest_seconds=0.0, poll_seconds=0.05)
INBOX = retention.inbox(DAYS)
NO_WAIT = "20ms"


@pytest.fixture
async def db(servers: Servers, tmp_path: Path) -> AsyncIterator[ServiceDatabase]:
    async with ServiceDatabase(servers, tmp_path) as db:
        await db.prepare("probe")
        await db.sql("INSERT INTO probe.retention (name, due_at) VALUES ('inbox', now()), ('failures', now())")
        yield db


@pytest.fixture
async def owner(db: ServiceDatabase) -> AsyncIterator["asyncpg.Connection[Any]"]:
    """A connection of the owner of the tables."""
    connection = await asyncpg.connect(db.owner_dsn, server_settings={"search_path": "probe"})
    yield connection
    await connection.close()


@asynccontextmanager
async def retention_of(
    db: ServiceDatabase, *rules: RetentionRule, settings: RetentionSettings = QUICK
) -> AsyncIterator[Retention]:
    database = Database(db.address("probe"))
    await database.open()
    try:
        yield Retention(database, RecordingTelemetry(), rules, settings)
    finally:
        await database.close()


async def fill(db: ServiceDatabase, rows: int, *, days: float, consumer: str = "probe") -> None:
    """Insert inbox rows of this age."""
    await db.sql(
        "INSERT INTO probe.inbox (consumer, dedup_key, processed_at)"
        " SELECT $1, gen_random_uuid(), now() - make_interval(secs => $3 * 86400) FROM generate_series(1, $2)",
        consumer,
        rows,
        float(days),
    )


async def count(db: ServiceDatabase, where: str = "true") -> int:
    return int((await db.sql(f"SELECT count(*) FROM probe.inbox WHERE {where}"))[0][0])  # noqa: S608


async def test_rows_older_than_their_limit_are_removed_and_all_others_stay(db: ServiceDatabase) -> None:
    for days in (0, 1, 20, 34.9, 35.1, 36, 400):
        await fill(db, 700, days=days)
    async with retention_of(db, INBOX) as job:
        assert await job.sweep(INBOX) == 3 * 700
    assert await count(db) == 4 * 700
    assert await count(db, f"processed_at < now() - interval '{DAYS} days'") == 0
    [(removed, finished, due)] = await db.sql(
        "SELECT removed, finished_at IS NOT NULL, due_at > now() + interval '23 hours'"
        " FROM probe.retention WHERE name = 'inbox'"
    )
    assert (removed, finished, due) == (2100, True, True)


async def test_a_step_removes_few_rows_and_a_finished_rule_is_due_again_tomorrow(db: ServiceDatabase) -> None:
    await fill(db, 250, days=36)
    async with retention_of(db, INBOX) as job:
        steps = [await job._step(INBOX) for _ in range(5)]
        assert steps == [100, 100, 50, None, None]
        await fill(db, 10, days=36)
        assert await job.sweep(INBOX) == 0
        await db.sql("UPDATE probe.retention SET due_at = now() WHERE name = 'inbox'")
        assert await job.sweep(INBOX) == 10


async def test_a_replica_without_the_lock_neither_removes_nor_waits(
    db: ServiceDatabase, owner: "asyncpg.Connection[Any]"
) -> None:
    await fill(db, 10, days=36)
    async with retention_of(db, INBOX) as job:
        async with owner.transaction():
            await owner.execute("SELECT FROM retention WHERE name = 'inbox' FOR UPDATE")
            async with asyncio.timeout(5):
                assert await job.sweep(INBOX) == 0
        assert await job.sweep(INBOX) == 10


async def test_a_new_rule_is_due_within_an_hour(db: ServiceDatabase) -> None:
    await db.sql("DELETE FROM probe.retention")
    async with retention_of(db, INBOX, retention.failures(30)) as job:
        assert await job.sweep(INBOX) == 0
    rows = await db.sql(
        "SELECT name, due_at BETWEEN now() - interval '5 minutes' AND now() + interval '1 hour'"
        " FROM probe.retention ORDER BY name"
    )
    assert [tuple(row) for row in rows] == [("failures", True), ("inbox", True)]


async def test_inbox_and_failures_of_messages_that_may_be_replayed_are_kept(db: ServiceDatabase) -> None:
    kept: dict[str, UUID] = {}
    for state in ("retrying", "parked", "replayed", "succeeded", "dropped"):
        kept[state] = uuid4()
        await db.sql(
            "INSERT INTO probe.inbox (consumer, dedup_key, processed_at) VALUES"
            " ('probe', $1, now() - interval '90 days'), ('another', $1, now() - interval '90 days')",
            kept[state],
        )
        await db.sql(
            "INSERT INTO probe.failures (consumer, key, attempts, reason, state, last_at)"
            " VALUES ('probe', $1::uuid::text, 1, 'why', $2, now() - interval '90 days')",
            kept[state],
            state,
        )
    rules = [INBOX, retention.failures(30)]
    async with retention_of(db, *rules) as job:
        assert [await job.sweep(rule) for rule in rules] == [7, 2]
    left = {row[0] for row in await db.sql("SELECT dedup_key FROM probe.inbox WHERE consumer = 'probe'")}
    assert left == {kept[state] for state in ("retrying", "parked", "replayed")}
    assert await count(db, "consumer = 'another'") == 0
    states = {row[0] for row in await db.sql("SELECT state FROM probe.failures")}
    assert states == {"retrying", "parked", "replayed"}


async def test_replicas_take_turns_and_remove_each_row_once(db: ServiceDatabase) -> None:
    await fill(db, 2000, days=40)
    await fill(db, 500, days=1)
    async with contextlib.AsyncExitStack() as stack:
        replicas = [await stack.enter_async_context(retention_of(db, INBOX)) for _ in range(4)]
        running = [asyncio.create_task(replica.run()) for replica in replicas]
        try:
            await eventually(lambda: _finished(db), 60)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
    assert await count(db) == 500
    assert (await db.sql("SELECT removed FROM probe.retention WHERE name = 'inbox'"))[0][0] == 2000


async def test_a_killed_process_is_continued_where_it_stopped(db: ServiceDatabase) -> None:
    await fill(db, 5000, days=40)
    slow = msgspec.structs.replace(QUICK, min_rest_seconds=0.02)
    settings = msgspec.json.encode(RetentionProcessSettings(db.address("probe"), INBOX, slow), enc_hook=str).decode()
    for least in (500, 1000, 1500):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", retention_process.__name__, settings, cwd=CHECKOUT
        )
        await eventually(lambda least=least: _removed(db, least))  # type: ignore[misc]
        process.kill()
        assert await process.wait() == -9
    # The server rolls the transaction back when it notices the end of the process.
    left = await count(db)
    [(removed, block)] = await db.sql("SELECT removed, block FROM probe.retention WHERE name = 'inbox'")
    assert (0 < left < 5000, block > 0) == (True, True)
    assert removed <= 5000 - left
    async with retention_of(db, INBOX) as job:
        await eventually(lambda: _run_to_end(job, db))
    assert await count(db) == 0
    assert (await db.sql("SELECT removed FROM probe.retention WHERE name = 'inbox'"))[0][0] == 5000


async def test_no_writer_waits_for_retention(db: ServiceDatabase, owner: "asyncpg.Connection[Any]") -> None:
    """Writers do not wait for locks and none fails; nor does retention wait for a locked row."""
    # Autovacuum takes a stronger lock, which would be among those that the test reads.
    await owner.execute("ALTER TABLE inbox SET (autovacuum_enabled = off)")
    await fill(db, 8000, days=40)
    held = (await db.sql("SELECT dedup_key FROM probe.inbox ORDER BY ctid OFFSET 3000 LIMIT 1"))[0][0]
    holder = await asyncpg.connect(db.owner_dsn)
    strong: set[str] = set()
    wrote = 0
    async with retention_of(db, INBOX) as job, holder.transaction():
        await holder.execute("SELECT FROM probe.inbox WHERE dedup_key = $1 FOR UPDATE", held)
        running = asyncio.create_task(job.sweep(INBOX))
        while not running.done():
            await owner.execute(f"SET lock_timeout = '{NO_WAIT}'")
            await owner.execute("INSERT INTO inbox (consumer, dedup_key) SELECT 'probe', gen_random_uuid()")
            again = await owner.fetchval("SELECT dedup_key FROM inbox WHERE processed_at > now() - interval '1 day'")
            await owner.execute("INSERT INTO inbox VALUES ('probe', $1) ON CONFLICT DO NOTHING", again)
            modes = await owner.fetch("SELECT mode FROM pg_locks WHERE relation = 'inbox'::regclass AND granted")
            strong |= {row[0] for row in modes}
            wrote += 1
        assert await running == 7999
    assert wrote > 20
    assert strong <= {"AccessShareLock", "RowShareLock", "RowExclusiveLock"}
    assert await count(db, "processed_at < now() - interval '35 days'") == 1
    await holder.close()


async def test_a_step_reads_only_its_own_pages(db: ServiceDatabase, owner: "asyncpg.Connection[Any]") -> None:
    await fill(db, 30_000, days=40)
    await db.sql("ANALYZE probe.inbox")
    await owner.execute("SET plan_cache_mode = force_generic_plan")
    await owner.execute(f"PREPARE step (int, tid, tid, int) AS {INBOX.statement}")
    plan = "\n".join(row[0] for row in await owner.fetch("EXPLAIN EXECUTE step (35, '(0,0)', '(4,0)', 100)"))
    assert "Tid Range Scan on inbox" in plan, plan
    assert "Seq Scan on inbox" not in plan, plan


async def test_a_repetition_within_the_retention_period_has_no_effect(db: ServiceDatabase) -> None:
    seen: list[UUID] = []

    async def on_confirmed(event: Event[OrderConfirmed], _: Transaction) -> Iterable[EventData]:
        seen.append(event.logicalid)
        return [OrderPaid(customer="ada", total_cents=1, currency="EUR")]

    events = [event_of(OrderConfirmed(customer="ada")) for _ in range(20)]
    old = [event.logicalid for event in events[:10]]
    age = "UPDATE probe.inbox SET processed_at = now() - make_interval(days => $2) WHERE (dedup_key = ANY($1)) = $3"
    async with replica(db, "probe", {OrderConfirmed: on_confirmed}, Transaction) as probe:
        await probe.process(*events)
        await db.sql(age, old, 34, False)
        await db.sql(age, old, 36, True)
        assert await Retention(probe.database, probe.telemetry, [INBOX], QUICK).sweep(INBOX) == 10
        assert any("10 rows older than 35 days removed from inbox" in state for state in probe.telemetry.statuses)
        await probe.process(*events, returned=True)
    assert len(seen) == 30
    assert seen[20:] == old
    assert len(await db.sql("SELECT FROM probe.outbox")) == 30  # retention never removes an event from the outbox


async def _finished(db: ServiceDatabase) -> bool:
    return bool((await db.sql("SELECT finished_at IS NOT NULL FROM probe.retention WHERE name = 'inbox'"))[0][0])


async def _removed(db: ServiceDatabase, least: int) -> bool:
    return bool((await db.sql("SELECT removed >= $1 FROM probe.retention WHERE name = 'inbox'", least))[0][0])


async def _run_to_end(job: Retention, db: ServiceDatabase) -> bool:
    await job.sweep(INBOX)
    return await _finished(db)
