"""A round of a periodic job that fails, for whatever reason, does not end the job."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from warren_messaging import PeriodicJob, Transaction
from warren_messaging.testing.recording_telemetry import RecordingTelemetry


class NoDatabase:
    @asynccontextmanager
    async def transaction(self, kind: Any) -> AsyncIterator[None]:
        yield None


@pytest.mark.parametrize("error", [ValueError("no row"), asyncio.CancelledError(), TimeoutError()])
async def test_a_failed_round_is_reported_and_followed_by_the_next(error: BaseException) -> None:
    rounds = 0
    third = asyncio.Event()

    async def job(uow: object) -> int:
        nonlocal rounds
        rounds += 1
        if rounds < 3:
            raise error
        third.set()
        return 0

    telemetry = RecordingTelemetry()
    outbox: Any = NoDatabase()
    running = asyncio.create_task(PeriodicJob("deadlines", 0.001, outbox, Transaction, job, telemetry).run())
    async with asyncio.timeout(5):
        await third.wait()
    assert len(telemetry.statuses) == 2
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
