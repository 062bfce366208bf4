"""Slots of a rate limit, as the database hands them out."""

import asyncio
import math
from collections.abc import AsyncIterator

import msgspec
import pytest

from tests.messaging_env import MessagingEnv
from warren_messaging import Database, RateLimit
from warren_messaging.postgres import rate_limit
from warren_messaging.postgres.rate_limit import MAX_WAIT

SLACK = 0.5  # seconds that pass between two statements on a busy machine
LIMIT = RateLimit("gateway", per_second=2, burst=3)


@pytest.fixture
async def database(env: MessagingEnv) -> AsyncIterator[Database]:
    database = env.database(connections=10)
    await database.open()
    yield database
    await database.close()


async def reserve(database: Database, calls: int, limit: RateLimit = LIMIT) -> tuple[list[float], float]:
    async with database.connection() as connection:
        return await rate_limit.reserve(connection, limit, calls)


async def test_calls_get_the_burst_at_once_and_then_one_slot_after_the_other(database: Database) -> None:
    waits, _ = await reserve(database, 6)
    assert waits == pytest.approx([0, 0, 0, 0.5, 1, 1.5], abs=0.1)
    waits, _ = await reserve(database, 2)
    assert 2 - SLACK < waits[0] <= 2
    assert waits[1] - waits[0] == pytest.approx(0.5)


async def test_reservations_at_the_same_time_share_the_slots(env: MessagingEnv, database: Database) -> None:
    loop = asyncio.get_running_loop()

    async def slots(calls: int) -> list[float]:
        waits, _ = await reserve(database, calls)
        return [loop.time() + wait for wait in waits]

    began = loop.time()
    every = sorted(slot for found in await asyncio.gather(*map(slots, range(1, 11))) for slot in found)
    assert len(every) == 55
    # No slot is earlier than in one reservation of all; `number` calls fit before it.
    assert all(slot - began >= (number - LIMIT.burst) * 0.5 - 0.01 for number, slot in enumerate(every, start=1))
    assert every[-1] - began <= (55 - LIMIT.burst) * 0.5 + SLACK


async def test_slots_that_are_too_far_ahead_are_not_reserved(database: Database) -> None:
    possible = LIMIT.burst + int(MAX_WAIT * LIMIT.per_second)
    waits, seconds = await reserve(database, 1000)
    assert len(waits) == possible
    assert waits[-1] == pytest.approx(MAX_WAIT, abs=0.1)
    assert seconds == pytest.approx(1 / LIMIT.per_second, abs=0.1)
    waits, later = await reserve(database, 1000)
    assert len(waits) <= 1
    assert later <= seconds


async def test_a_lowered_limit_keeps_the_reserved_slots_and_a_raised_one_forgets_those_beyond_the_longest_wait(
    database: Database,
) -> None:
    await reserve(database, 100, RateLimit("mail", per_second=10))
    waits, _ = await reserve(database, 1, RateLimit("mail", per_second=1))
    assert 10 - SLACK < waits[0] <= 10
    await reserve(database, 100, RateLimit("gateway", per_second=0.01, burst=10))
    _, seconds = await reserve(database, 1, RateLimit("gateway", per_second=1000))
    assert seconds < SLACK


async def test_limits_of_different_names_are_independent(database: Database) -> None:
    await reserve(database, 50)
    waits, _ = await reserve(database, 1, msgspec.structs.replace(LIMIT, name="mail"))
    assert waits == [0]


@pytest.mark.parametrize(
    ("per_second", "burst"), [(0, 1), (-1, 1), (1, 0), (math.nan, 1), (math.inf, 1), (1e-300, 1), (1, 2**31)]
)
def test_limits_that_no_row_can_hold_are_refused(per_second: float, burst: int) -> None:
    with pytest.raises(ValueError, match="rate limit 'gateway'"):
        RateLimit("gateway", per_second, burst)
