"""Circuit breakers: while an external system fails, it is not called, and the attempts of messages are not used up.

    closed ──────── `failures` calls in a row fail ───────▶ open
      ▲                                                     │ ▲
      │ success                           after open_seconds │ │ failure: the next time is twice as long
      └───────────────── half-open: one trial call ◀────────┘─┘

The state belongs to one process. Every replica finds out by its own calls, which costs a failing system a few calls per
replica; shared state would need a server that can fail itself, and would stop replicas that still reach the system.
"""

import asyncio
import time
from collections.abc import Callable, Hashable

from warren_messaging.errors import DownstreamUnavailable, TransientError
from warren_messaging.telemetry import BreakerState, Telemetry


class CircuitBreaker:
    """The breaker of one external system. Effects that call the same system share one object.

    It opens after `failures` calls in a row have failed, for two messages or more: a message that alone fails again and
    again uses up its own attempts, and stops no other. `errors` are the exceptions that count as failures of the
    system, besides TimeoutError. A returned value and any other exception, such as PermanentError, is an answer.

    It stays open for `open_seconds`; each time that the trial call in state half-open fails, for twice as long, at
    most `max_open_seconds`. `clock` returns seconds.
    """

    def __init__(
        self,
        name: str,
        *,
        failures: int = 5,
        open_seconds: float = 5.0,
        max_open_seconds: float = 60.0,
        errors: tuple[type[Exception], ...] = (TransientError, OSError),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if failures < 1:
            raise ValueError(f"circuit breaker {name!r} opens after {failures} failures: 1 or more are possible")
        if not 0 < open_seconds <= max_open_seconds:
            raise ValueError(
                f"circuit breaker {name!r} is open for {open_seconds} to {max_open_seconds} s: both must be positive,"
                " and the first not greater than the second"
            )
        self.name = name
        self.state = BreakerState.CLOSED
        self.telemetry: Telemetry | None = None
        """Gets each change of state; set by the processor whose effects use this breaker."""
        self._failures = failures
        self._open_seconds = open_seconds
        self._max_open_seconds = max_open_seconds
        self._errors: tuple[type[Exception], ...] = (TimeoutError, *errors)
        self._clock = clock
        self._generation = 0
        """Changes with each change of state: a call of an earlier generation decides nothing."""
        self._streak = 0
        """Failed calls since the last answer."""
        self._first_failed: Hashable = None
        self._several_failed = False
        self._seconds = 0.0
        self._until = 0.0
        self._reason = ""
        self._trial: asyncio.Future[None] | None = None
        """Done when the trial call in state half-open has ended."""

    def with_clock(self, clock: Callable[[], float]) -> "CircuitBreaker":
        """Return a closed breaker with the same settings and another clock."""
        return CircuitBreaker(
            self.name,
            failures=self._failures,
            open_seconds=self._open_seconds,
            max_open_seconds=self._max_open_seconds,
            errors=self._errors,
            clock=clock,
        )

    @property
    def seconds_left(self) -> float:
        """How long no call is possible; 0 unless the breaker is open."""
        return max(self._until - self._clock(), 0.0) if self.state is BreakerState.OPEN else 0.0

    def __str__(self) -> str:
        if self.state is BreakerState.OPEN:
            return f"open, next call in {self.seconds_left:.1f} s: {self._reason}"
        return self.state.value

    def unavailable(self) -> DownstreamUnavailable:
        """The error of a consumer whose messages need this system."""
        return DownstreamUnavailable(f"circuit breaker {self.name!r}: {self}", self.seconds_left)

    async def admit(self) -> "AdmittedCall":
        """Return the permission for one call; its holder must end it by one of its methods.

        In state half-open one caller gets it, and the others wait for the result. Raises DownstreamUnavailable while
        the breaker is open.
        """
        while self.state is not BreakerState.CLOSED:
            if self.seconds_left > 0:
                raise self.unavailable()
            if self._trial is None:
                self._trial = asyncio.get_running_loop().create_future()
                if self.state is BreakerState.OPEN:
                    self._change(BreakerState.HALF_OPEN, "one call decides")
                return AdmittedCall(self, self._generation)
            await asyncio.shield(self._trial)
        return AdmittedCall(self, self._generation)

    # Called by AdmittedCall

    def is_current(self, generation: int) -> bool:
        """Whether the state is still the one of a call of `generation`."""
        return generation == self._generation

    def record_answer(self, generation: int) -> None:
        """The system has answered a call of `generation`."""
        if generation != self._generation:
            return
        self._streak = 0
        if self.state is BreakerState.HALF_OPEN:
            self._seconds = 0.0
            self._change(BreakerState.CLOSED, "the call succeeded")
            self._end_trial()

    def record_failure(self, generation: int, key: Hashable, error: Exception) -> bool:
        """Returns whether the failure counts as an attempt of its message."""
        if not isinstance(error, self._errors):
            self.record_answer(generation)
            return True
        if generation != self._generation:
            return False
        half_open = self.state is BreakerState.HALF_OPEN
        if self._streak == 0:
            self._first_failed, self._several_failed = key, False
        self._streak += 1
        self._several_failed = self._several_failed or key != self._first_failed
        if half_open or (self._streak >= self._failures and self._several_failed):
            self._open(error)
        return not half_open

    def abandon(self, generation: int) -> None:
        """A call of `generation` has ended without a result: in state half-open, another call decides."""
        if self.state is BreakerState.HALF_OPEN and generation == self._generation:
            self._generation += 1
            self._end_trial()

    def _open(self, error: Exception) -> None:
        self._streak = 0
        self._seconds = min(self._seconds * 2, self._max_open_seconds) if self._seconds else self._open_seconds
        self._until = self._clock() + self._seconds
        self._reason = str(error) or type(error).__name__
        self._change(BreakerState.OPEN, f"for {self._seconds:g} s: {self._reason}")
        self._end_trial()

    def _change(self, state: BreakerState, text: str) -> None:
        self.state = state
        self._generation += 1
        if self.telemetry is not None:
            self.telemetry.circuit_breaker(self.name, state, text)

    def _end_trial(self) -> None:
        if self._trial is not None:
            self._trial.set_result(None)
            self._trial = None


class AdmittedCall:
    """The permission for one call. `succeeded`, `failed` or `abandon` ends it; later calls of them change nothing."""

    __slots__ = ("_breaker", "_generation")

    def __init__(self, breaker: CircuitBreaker, generation: int) -> None:
        self._breaker = breaker
        self._generation = generation

    def require_current(self) -> None:
        """Raise DownstreamUnavailable if the breaker has opened since the call was admitted."""
        if not self._breaker.is_current(self._generation):
            raise self._breaker.unavailable()

    def succeeded(self) -> None:
        self._breaker.record_answer(self._generation)

    def failed(self, key: Hashable, error: Exception) -> bool:
        """Record a failed call for the message `key`. Returns whether it counts as an attempt of the message.

        It does not count if the breaker was not closed: the system's failure was known before.
        """
        return self._breaker.record_failure(self._generation, key, error)

    def abandon(self) -> None:
        """The call was not made, or was cancelled: another one may be made in its place."""
        self._breaker.abandon(self._generation)
