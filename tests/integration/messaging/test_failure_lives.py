"""A replay gives a message a new life with tries of its own; its copies share each life, in any order they fail in."""

import itertools
import random
from collections.abc import AsyncIterator

import pytest

from tests.conftest import SEED
from tests.messaging_env import MessagingEnv
from warren_messaging.postgres import failures
from warren_messaging.testing import InMemoryDatabase
from warren_messaging.transaction import Connection

LIMIT = 3
_keys = itertools.count()


@pytest.fixture
async def connections(env: MessagingEnv) -> AsyncIterator[list[Connection]]:
    """Of the real database, and of its double."""
    database = env.database()
    await database.open()
    async with database.connection() as real, InMemoryDatabase().connection() as double:
        yield [real, double]
    await database.close()


async def fail(connection: Connection, key: str, replays: int, limit: int | None = LIMIT) -> tuple[int, bool]:
    return await failures.record(
        connection, "probe", key, "why", event_type=None, subject=None, limit=limit, replays=replays
    )


@pytest.mark.parametrize(
    ("lives", "counted"),
    [
        pytest.param([0, 0, 0, 0], [(1, False), (2, False), (3, True), (4, True)], id="copies after the parked one"),
        pytest.param([0, 0, 0, 1, 1, 1, 1], [(1, False), (2, False), (3, True)] * 2 + [(4, True)], id="replayed"),
        pytest.param([0, 1, 0, 1], [(1, False), (1, False), (2, False), (3, True)], id="an old copy among replayed"),
        pytest.param([2, 1, 0, 2], [(1, False), (2, False), (3, True), (4, True)], id="copies replayed less often"),
    ],
)
async def test_only_another_replay_begins_anew(
    connections: list[Connection], lives: list[int], counted: list[tuple[int, bool]]
) -> None:
    for connection in connections:
        assert [await fail(connection, "key", replays) for replays in lives] == counted


async def test_what_was_dropped_begins_anew_once(connections: list[Connection], env: MessagingEnv) -> None:
    real = connections[0]
    await fail(real, "key", 0, limit=None)
    await env.sql("UPDATE failures SET state = 'dropped'")
    assert [await fail(real, "key", 0) for _ in range(4)] == [(1, False), (2, False), (3, True), (4, True)]


async def test_tries_never_exceed_the_limit_by_more_than_the_copies(connections: list[Connection]) -> None:
    """Random copies of random lives: each failure is either counted towards its life's limit, or parks a copy."""
    chance = random.Random(SEED)
    for _ in range(100):
        copies, lives = chance.randint(1, 4), chance.randint(1, 3)
        key = str(next(_keys))
        waiting = [0] * copies
        tries = parked = 0
        while waiting:
            replays = waiting.pop(chance.randrange(len(waiting)))
            answers = {await fail(connection, key, replays) for connection in connections}
            assert len(answers) == 1, "the double counts as the database does"
            [(_, last)] = answers
            tries += 1
            if not last:
                waiting.append(replays)
            elif replays + 1 < lives:
                waiting.append(replays + 1)
            else:
                parked += 1
        assert parked == copies, "no copy is lost"
        assert tries <= lives * (LIMIT - 1) + lives * copies, (copies, lives)
