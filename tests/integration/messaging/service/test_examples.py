"""The small services of docs/examples/library run as programs, and are as small as the documentation claims."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from docs.examples.library.points import OrderPaid
from docs.examples.library.seats import SeatRefused, SeatReleased, SeatReserved, TripBooked, TripCancelled
from tests.messaging_env import QUEUE_ARGUMENTS, MessagingEnv, eventually
from warren_messaging import encode
from warren_messaging.testing import event_of

EXAMPLES = Path(__file__).resolve().parents[4] / "docs" / "examples" / "library"


async def prepare(env: MessagingEnv, name: str) -> dict[str, str]:
    """Create user, exchange, queue and tables of an example. Returns its environment."""
    await env.add_user(name, write="^events$", read=rf"^{name}\.queue$")
    async with env.channel() as channel:
        await channel.exchange_declare("events", exchange_type="topic", durable=True)
        await channel.queue_declare(f"{name}.queue", durable=True, arguments=QUEUE_ARGUMENTS)
        await channel.queue_declare("announced.queue", durable=True, arguments={"x-queue-type": "quorum"})
        await channel.queue_bind("announced.queue", "events", f"{name}.*")
    for statement in re.findall(r"CREATE TABLE [^;]*;", (EXAMPLES / "README.md").read_text()):
        await env.sql(statement)
    broker, postgres = env.servers.broker.endpoints, env.servers.postgres.endpoint
    prefix = name.upper()
    return os.environ | {
        f"{prefix}_BROKER_URL": f"amqps://{name}:probe-password@{broker.host}:{env.broker_port}/{env.vhost}",
        f"{prefix}_BROKER_CA_FILE": str(broker.ca_file),
        f"{prefix}_DATABASE_URL": f"postgresql://probe:probe-password@{postgres.host}:{env.database_port}/{env.database_name}",
    }


@asynccontextmanager
async def example(env: MessagingEnv, name: str) -> AsyncIterator[None]:
    """Run an example; at the end it stops in order."""
    environment = await prepare(env, name)
    process = await asyncio.create_subprocess_exec(sys.executable, str(EXAMPLES / f"{name}.py"), env=environment)
    try:
        yield
        process.terminate()
        async with asyncio.timeout(20):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_handler_with_state_runs_in_thirty_lines(env: MessagingEnv) -> None:
    async with example(env, "points"):
        paid = event_of(OrderPaid(customer="ada", total_cents=1999))
        await env.send(encode(paid), encode(paid), queue="points.queue")
        await env.send(encode(event_of(OrderPaid(customer="ada", total_cents=100))), queue="points.queue")

        async def counted() -> bool:
            return [tuple(row) for row in await env.sql("TABLE points")] == [("ada", 20)]

        await eventually(counted)


async def test_a_saga_step_is_compensated_whatever_the_order_of_its_events(env: MessagingEnv) -> None:
    first, second, third = uuid4(), uuid4(), uuid4()
    booked = [event_of(TripBooked(flight="LX1"), subject=trip) for trip in (first, second, third)]
    cancelled = [event_of(TripCancelled(), subject=trip) for trip in (first, second, third, first)]

    async def announced(*expected: str) -> None:
        found: list[str] = []

        async def complete() -> bool:
            found.extend(str(msgspec.json.decode(each.body)["type"]) for each in await env.drain("announced.queue"))
            return sorted(found) == sorted(expected)

        await eventually(complete, what=f"not {expected}: {found}")

    async with example(env, "seats"):
        await env.sql("INSERT INTO flights VALUES ('LX1', 1)")
        await env.send(encode(cancelled[1]), encode(booked[1]), encode(booked[0]), queue="seats.queue")
        await announced(SeatReserved.TYPE)  # the second trip was cancelled before it was booked
        await env.send(encode(booked[2]), queue="seats.queue")
        await announced(SeatRefused.TYPE)
        # Three cancellations, two of one trip: one seat was reserved, one is released.
        await env.send(*(encode(cancelled[n]) for n in (0, 2, 3)), queue="seats.queue")
        await announced(SeatReleased.TYPE)
        await eventually(lambda: empty(env))
        assert [tuple(row) for row in await env.sql("TABLE flights")] == [("LX1", 1)]


async def empty(env: MessagingEnv) -> bool:
    return await env.depth("seats.queue") == 0 and await env.outbox_count() == 0


@pytest.mark.parametrize(("name", "lines"), [("points", 30), ("seats", 60)])
def test_the_examples_have_the_promised_length(name: str, lines: int) -> None:
    assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) <= lines
