"""`python -m loadtest schedule`: the cost of scheduled messages that wait, and the rate at which many are published
that are due at one moment.
"""

import asyncio
import json as json_module
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import uuid4

import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number

from devtools.invariants import Check
from devtools.servers.servers import Servers
from loadtest import cpu, report
from loadtest.benchmark import Count, InstanceName, Json, finish, private_servers
from loadtest.consumer.command import TOPOLOGY
from loadtest.environment import BenchmarkEnv
from loadtest.results import Host
from services.shared.chassis.settings import ENV_PREFIX, ProcessSettings
from services.shared.contracts.orders import OrderConfirmed
from warren.progress import ProgressReport
from warren_messaging import Connection, Service, Transaction, load_settings
from warren_messaging.outbox.schedule import DueMessageMover
from warren_messaging.postgres import scheduled
from warren_messaging.telemetry import TelemetryFanout

BATCH = 1000  # messages that one transaction schedules
SEARCHES = 500
MAX_PAGES = 20  # that one search for due messages reads


class WaitingCost(msgspec.Struct, frozen=True):
    """What the process and its database do while a number of messages wait and none is due."""

    waiting: int
    transactions_per_second: float
    process_ms: float
    """CPU of the process in a second."""
    postgres_ms: float | None
    """CPU of PostgreSQL in a second; None if it runs in a container."""
    search_ms: float
    """Duration of one search for due messages."""
    pages: int
    """Pages of 8 KiB that one search reads."""


def schedule(
    *,
    waiting: Annotated[Count, Parameter(help="Messages that wait.")] = 100_000,
    due: Annotated[Count, Parameter(help="Messages that are due at one moment.")] = 10_000,
    seconds: Annotated[float, Parameter(help="Duration of each idle measurement.", validator=Number(gt=0))] = 20.0,
    json: Json = None,
    instance: InstanceName = "loadtest",
) -> int:
    """Measure scheduled messages: the cost of waiting ones, and the rate at which due ones are published.

    One process with an outbox runs beside its servers. It looks for due messages with nothing scheduled, and with many
    that wait; then many become due at one moment, each about another subject. Exit codes: 0 done, 1 a message was lost
    or published twice, or a search reads more pages when many messages wait.

    Example: python -m loadtest schedule --waiting 1000000
    """
    host = Host.current()
    with private_servers(instance, ProgressReport()) as servers:
        costs, rates, published, distinct = asyncio.run(measure_schedule(servers, waiting, due, seconds))
    report.host(host)
    report.heading("Messages that wait")
    report.table(
        ["waiting", "transactions/s", "process CPU ms/s", "PostgreSQL CPU ms/s", "ms a search", "pages a search"],
        [
            [f"{each.waiting:,}", f"{each.transactions_per_second:.2f}", f"{each.process_ms:.1f}",
             "?" if each.postgres_ms is None else f"{each.postgres_ms:.1f}", f"{each.search_ms:.2f}", str(each.pages)]
            for each in costs
        ],
    )  # fmt: skip
    report.heading("Rates")
    report.pairs({name: f"{rate:,.0f} messages/s" for name, rate in rates.items()})
    pages = costs[-1].pages
    return finish(
        json,
        checks=[
            Check("published once", published == distinct == due, f"{published:,} messages, {distinct:,} different"),
            Check("a search reads few pages", pages <= MAX_PAGES, f"{pages} with {waiting:,} waiting messages"),
        ],
        host=host,
        costs=costs,
        rates=rates,
    )


async def measure_schedule(
    servers: Servers, waiting: int, due: int, seconds: float
) -> tuple[list[WaitingCost], dict[str, float], int, int]:
    """Return the costs of waiting messages, rates by name, and how many messages and different ones were published."""
    env = BenchmarkEnv(servers, "probe", TOPOLOGY)
    async with env.prepared():
        settings = load_settings(ProcessSettings, ENV_PREFIX, env.environment)
        service = Service(
            "probe", settings, exchange="order.exchange", source="/warren/probe", telemetry=TelemetryFanout()
        )
        await service.database.open()
        try:
            costs = [await _waiting_cost(env, service, 0, seconds)]
            rates = {"scheduled": await _schedule(service, waiting, datetime.now(UTC) + timedelta(days=1))}
            costs.append(await _waiting_cost(env, service, waiting, seconds))
            await _schedule(service, due, datetime.now(UTC))
        finally:
            await service.database.close()
        began = time.perf_counter()
        async with service, env.channel() as channel:
            published = 0
            while published < due:
                await asyncio.sleep(0.05)
                published = (await channel.queue_declare("published.queue", passive=True)).message_count
            rates["published when due"] = due / (time.perf_counter() - began)
            while service.relay.waiting:  # noqa: ASYNC110 - it has no event for this
                await asyncio.sleep(0.05)
            ids = [(await channel.basic_get("published.queue", no_ack=True)).header.properties.message_id
                   for _ in range(published)]  # fmt: skip
            left = (await channel.queue_declare("published.queue", passive=True)).message_count
        return costs, rates, published + left, len(set(ids))


async def _schedule(service: Service, count: int, deliver_at: datetime) -> float:
    """Schedule messages, each about its own subject. Returns the number that was scheduled in a second."""
    began = time.perf_counter()
    for first in range(0, count, BATCH):
        async with service.outbox.transaction(Transaction) as uow:
            for _ in range(min(BATCH, count - first)):
                uow.announce(OrderConfirmed(customer="gayal"), subject=uuid4(), deliver_at=deliver_at)
    return count / (time.perf_counter() - began)


async def _waiting_cost(env: BenchmarkEnv, service: Service, waiting: int, seconds: float) -> WaitingCost:
    mover = asyncio.create_task(DueMessageMover(service.outbox, service.telemetry).run())
    async with env.owner() as connection:
        await asyncio.sleep(2)  # plans are cached, and statistics of earlier transactions are written
        before = await _usage(env, connection)
        await asyncio.sleep(seconds)
        spent = [new - old for new, old in zip(await _usage(env, connection), before, strict=True)]
    mover.cancel()
    await asyncio.gather(mover, return_exceptions=True)
    async with service.database.transaction() as connection:
        began = time.perf_counter()
        for _ in range(SEARCHES):
            await scheduled.lock_due(connection, 500)
        duration = (time.perf_counter() - began) / SEARCHES
        plan = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {scheduled.LOCK_DUE}", 500, 0.0)
    usage = json_module.loads(plan)[0]["Plan"]
    in_postgres = "PostgreSQL" in env.servers.pids
    return WaitingCost(
        waiting=waiting,
        transactions_per_second=spent[0] / seconds,
        process_ms=spent[1] / seconds * 1000,
        postgres_ms=spent[2] / seconds * 1000 if in_postgres else None,
        search_ms=duration * 1000,
        pages=usage["Shared Hit Blocks"] + usage["Shared Read Blocks"],
    )


async def _usage(env: BenchmarkEnv, connection: Connection) -> Sequence[float]:
    """Committed transactions, and CPU seconds of this process and of PostgreSQL."""
    await connection.execute("SELECT pg_stat_clear_snapshot()")
    transactions = await connection.fetchval(
        "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
    )
    pid = env.servers.pids.get("PostgreSQL")
    postgres = cpu.of_server("PostgreSQL", pid) if pid else None
    return float(transactions), time.process_time(), postgres or 0.0
