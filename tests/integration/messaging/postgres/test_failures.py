"""The record of failures: attempts of a message and its copies, replays, and text that PostgreSQL refuses."""

import hashlib
import itertools
import random
from collections.abc import AsyncIterator

import asyncpg
import pytest

from services.shared.contracts.orders import OrderConfirmed
from tests.conftest import SEED
from tests.messaging_env import MessagingEnv, eventually
from warren_messaging import TransientError, codec
from warren_messaging.postgres import failures
from warren_messaging.testing import InMemoryDatabase, event_of
from warren_messaging.transaction import Connection

LIMIT = 3
TEXTS = ["a\0b", "\ud800", "\udc00\ud800", "\x1b[2J", "x" * 100_000, "\U0001f600" * 3000, "\ufffe"]
_keys = itertools.count()


@pytest.fixture
async def connections(env: MessagingEnv) -> AsyncIterator[list[Connection]]:
    """A connection of the real database and one of its double."""
    database = env.database()
    await database.open()
    async with database.connection() as real, InMemoryDatabase().connection() as double:
        yield [real, double]
    await database.close()


async def fail(connection: Connection, key: str, replays: int = 0, limit: int | None = LIMIT) -> tuple[int, bool]:
    return await failures.record(
        connection, "probe", key, "why", event_type=None, subject=None, limit=limit, replays=replays
    )


@pytest.mark.parametrize(
    ("replays", "counted"),
    [
        pytest.param([0, 0, 0, 0], [(1, False), (2, False), (3, True), (4, True)], id="copies after the parked one"),
        pytest.param([0, 0, 0, 1, 1, 1, 1], [(1, False), (2, False), (3, True)] * 2 + [(4, True)], id="replayed"),
        pytest.param([0, 1, 0, 1], [(1, False), (1, False), (2, False), (3, True)], id="an old copy among replayed"),
        pytest.param([2, 1, 0, 2], [(1, False), (2, False), (3, True), (4, True)], id="copies replayed less often"),
    ],
)
async def test_only_a_further_replay_starts_the_count_of_attempts_again(
    connections: list[Connection], replays: list[int], counted: list[tuple[int, bool]]
) -> None:
    for connection in connections:
        assert [await fail(connection, "key", each) for each in replays] == counted


async def test_a_dropped_message_that_comes_again_has_new_attempts(
    connections: list[Connection], env: MessagingEnv
) -> None:
    real = connections[0]
    await fail(real, "key", limit=None)
    await env.sql("UPDATE failures SET state = 'dropped'")
    assert [await fail(real, "key") for _ in range(4)] == [(1, False), (2, False), (3, True), (4, True)]


async def test_attempts_exceed_the_limit_at_most_by_the_number_of_copies(connections: list[Connection]) -> None:
    """Each failure of random copies and replays either counts towards the limit of its replay or parks a copy."""
    rng = random.Random(SEED)
    for _ in range(100):
        copies, lives = rng.randint(1, 4), rng.randint(1, 3)
        key = str(next(_keys))
        waiting = [0] * copies
        attempts = parked = 0
        while waiting:
            replays = waiting.pop(rng.randrange(len(waiting)))
            results = {await fail(connection, key, replays) for connection in connections}
            assert len(results) == 1, "the double counts as the database does"
            [(_, last)] = results
            attempts += 1
            if not last:
                waiting.append(replays)
            elif replays + 1 < lives:
                waiting.append(replays + 1)
            else:
                parked += 1
        assert parked == copies, "no copy is lost"
        assert attempts <= lives * (LIMIT - 1) + lives * copies, (copies, lives)


async def test_a_failure_with_any_text_is_recorded(env: MessagingEnv) -> None:
    """An error here would requeue the message forever."""
    database = env.database()
    await database.open()
    async with database.connection() as connection:
        for number, text in enumerate(TEXTS):
            key = f"{number}{text[:20]}"
            recorded: object
            try:
                recorded = await failures.record(
                    connection, "probe", key, text, event_type=text, subject=None, limit=None
                )
            except asyncpg.PostgresError as error:
                recorded = error
            assert recorded == (1, True)
            await failures.succeeded(connection, "probe", [key])
    await database.close()
    assert await env.sql("SELECT DISTINCT state FROM failures") == [("succeeded",)]


@pytest.mark.parametrize("escape", ["\\u0000", "\\ud800", "\\u001b"])
async def test_an_event_with_text_that_postgresql_refuses_is_parked_at_once(env: MessagingEnv, escape: str) -> None:
    async def fail(event: object, uow: object) -> None:
        raise TransientError("the handler must not run")

    body = codec.encode(event_of(OrderConfirmed(customer="CUSTOMER"), reference="REFERENCE"))
    bodies = [
        body.replace(old, new % escape.encode())
        for old, new in (
            (b"CUSTOMER", b"a%sb"),
            (b"REFERENCE", b"a%sb"),
            (b"/warren/order", b"/warren%s/order"),
            (b'"order.confirmed"', b'"order.confirmed%s"'),
            (b'"data"', b'"logicalid":"%s","data"'),
        )
    ] + [b'{"logicalid":"a%s"}' % escape.encode()]

    async def all_parked() -> bool:
        return await env.depth("probe.dlq") == len(bodies)

    async with env.consumer({OrderConfirmed: fail}):
        await env.send(*bodies, user_id="order", routing_key="order.confirmed")
        await eventually(all_parked)
    assert {(attempts, last) for _, attempts, last in env.telemetry.failures} == {(1, True)}
    keys = [hashlib.sha256(message.body).hexdigest() for message in await env.drain("probe.dlq")]
    rows = await env.sql("SELECT state FROM failures WHERE key = ANY($1)", keys)
    assert [row[0] for row in rows] == ["parked"] * len(bodies)
