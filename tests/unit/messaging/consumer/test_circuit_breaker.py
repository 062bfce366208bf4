"""The states of a circuit breaker, with a clock of its own."""

import asyncio

import pytest

from tests.messaging_env import eventually
from warren_messaging import BreakerState, CircuitBreaker, DownstreamUnavailable, PermanentError, TransientError
from warren_messaging.testing.recording_telemetry import RecordingTelemetry


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Breaker:
    """A breaker with its clock and its telemetry."""

    def __init__(self, **settings: object) -> None:
        self.clock = Clock()
        self.telemetry = RecordingTelemetry()
        self.breaker = CircuitBreaker("gateway", clock=self.clock, **settings)  # type: ignore[arg-type]
        self.breaker.telemetry = self.telemetry

    async def call(self, key: str, error: Exception | None = None) -> bool | None:
        """Make one call; return whether its failure counts, None if it is not admitted."""
        try:
            call = await self.breaker.admit()
        except DownstreamUnavailable:
            return None
        if error is None:
            call.succeeded()
            return False
        return call.failed(key, error)

    async def fail(self, *keys: str) -> list[bool | None]:
        return [await self.call(key, TransientError("busy")) for key in keys]

    @property
    def states(self) -> list[BreakerState]:
        return [state for _, state in self.telemetry.breaker_states]


OPEN, HALF_OPEN, CLOSED = BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED


async def test_it_opens_after_failures_in_a_row_and_then_admits_no_call() -> None:
    it = Breaker(failures=3)
    assert await it.fail("a", "b") == [True, True]
    await it.call("c")
    assert await it.fail("a", "b", "a") == [True, True, True]
    assert it.states == [OPEN]
    assert it.breaker.seconds_left == 5
    with pytest.raises(
        DownstreamUnavailable, match=r"circuit breaker 'gateway': open, next call in 5.0 s: busy"
    ) as raised:
        await it.breaker.admit()
    assert raised.value.seconds == 5


async def test_a_message_that_fails_alone_does_not_open_it() -> None:
    it = Breaker(failures=3)
    assert await it.fail(*"aaaaaaaa") == [True] * 8
    assert it.states == []
    await it.fail("b")
    assert it.states == [OPEN]


@pytest.mark.parametrize("answer", [PermanentError("no such card"), KeyError("id")])
async def test_an_exception_that_is_no_failure_of_the_system_is_an_answer(answer: Exception) -> None:
    it = Breaker(failures=2)
    for key in "abcdef":
        await it.fail(key)
        assert await it.call(key, answer), "it counts as an attempt of its message"
    assert it.states == []


async def test_its_errors_can_be_chosen_and_a_timeout_always_counts() -> None:
    it = Breaker(failures=2, errors=(ConnectionResetError,))
    await it.fail("a", "b", "c")
    assert it.states == []
    await it.call("a", ConnectionResetError())
    await it.call("b", TimeoutError())
    assert it.states == [OPEN]


async def test_half_open_one_call_is_made_and_the_others_wait_for_its_success() -> None:
    it = Breaker(failures=2)
    await it.fail("a", "b")
    it.clock.now += 5
    trial = await it.breaker.admit()
    assert it.states == [OPEN, HALF_OPEN]
    waiting = [asyncio.create_task(it.call(key)) for key in "cdef"]
    await asyncio.sleep(0.01)
    assert not any(task.done() for task in waiting)
    trial.succeeded()
    await asyncio.gather(*waiting)
    assert it.states == [OPEN, HALF_OPEN, CLOSED]


async def test_a_failure_half_open_opens_it_for_twice_as_long_up_to_a_maximum_and_does_not_count() -> None:
    it = Breaker(failures=2, open_seconds=5, max_open_seconds=12)
    await it.fail("a", "b")
    for seconds in (5, 10, 12, 12):
        assert it.breaker.seconds_left == seconds
        it.clock.now += seconds
        trial = await it.breaker.admit()
        waiting = asyncio.create_task(it.breaker.admit())
        await asyncio.sleep(0)
        assert not trial.failed("a", TransientError("still busy"))
        with pytest.raises(DownstreamUnavailable, match="still busy"):
            await waiting
    it.clock.now += 12
    await it.call("a")
    await it.fail("a", "b")
    assert it.breaker.seconds_left == 5, "a success ends the growth"


async def test_a_call_that_ends_after_the_breaker_has_opened_decides_nothing() -> None:
    it = Breaker(failures=2)
    early, late, never = [await it.breaker.admit() for _ in range(3)]
    await it.fail("a", "b")
    early.succeeded()
    assert it.states == [OPEN]
    assert not late.failed("c", TransientError("busy"))
    with pytest.raises(DownstreamUnavailable):
        never.require_current()
    it.clock.now += 5
    trial = await it.breaker.admit()
    never.abandon()
    trial.succeeded()
    assert it.states == [OPEN, HALF_OPEN, CLOSED]


async def test_another_call_takes_the_place_of_one_that_was_cancelled_half_open() -> None:
    it = Breaker(failures=2)
    await it.fail("a", "b")
    it.clock.now += 5
    trial = await it.breaker.admit()
    waiting = [asyncio.create_task(it.breaker.admit()) for _ in range(2)]
    await asyncio.sleep(0)
    trial.abandon()
    await eventually(lambda: sum(task.done() for task in waiting) == 1)
    next(task for task in waiting if task.done()).result().succeeded()
    await asyncio.gather(*waiting)
    assert it.states == [OPEN, HALF_OPEN, CLOSED]


@pytest.mark.parametrize("settings", [{"failures": 0}, {"open_seconds": 0}, {"open_seconds": 9, "max_open_seconds": 8}])
def test_settings_that_make_no_sense_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="circuit breaker 'gateway'"):
        Breaker(**settings)
