"""Effects: prepared in one transaction, performed outside of any, completed in another one."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

from warren_messaging import tracing
from warren_messaging.cancellation import inner_cancellation_as_error
from warren_messaging.consumer.batch import BatchRunner, without
from warren_messaging.consumer.circuit_breaker import AdmittedCall
from warren_messaging.consumer.delivery import EffectRun, Verdict
from warren_messaging.consumer.rate_limiter import RateLimiter
from warren_messaging.consumer.request_coalescer import RequestCoalescer
from warren_messaging.errors import DownstreamUnavailable
from warren_messaging.handlers import AnyEffect
from warren_messaging.postgres import inbox
from warren_messaging.postgres.database import Database
from warren_messaging.telemetry import Telemetry
from warren_messaging.transaction import Transaction

T = TypeVar("T", bound=Transaction)

EFFECT_TIMEOUT = 30.0  # seconds


class EffectRunner(Generic[T]):
    """Runs the effects of one consumer, at most `concurrency` calls at a time."""

    def __init__(
        self,
        consumer: str,
        batches: BatchRunner[T],
        effects: Iterable[AnyEffect[T]],
        database: Database,
        telemetry: Telemetry,
        concurrency: int,
    ) -> None:
        self._consumer = consumer
        self._batches = batches
        self._telemetry = telemetry
        self._slots = asyncio.Semaphore(concurrency)
        # Effects that end at the same time are completed in one transaction.
        self._completions: RequestCoalescer[EffectRun[T], Verdict] = RequestCoalescer(self._complete)
        effects = list(effects)
        self._breakers = {effect.breaker for effect in effects if effect.breaker is not None}
        for breaker in self._breakers:
            breaker.telemetry = telemetry
        limits = {effect.rate_limit for effect in effects if effect.rate_limit is not None}
        self._limiters = {limit: RateLimiter(limit, database) for limit in limits}
        self._interrupted = asyncio.Event()

    async def run(self, batch: Sequence[EffectRun[T]], on_verdict: Callable[[EffectRun[T], Verdict], None]) -> None:
        """Run all effects and report each verdict at most once.

        Raises Unavailable if a server is unavailable, a breaker is open, or a rate limit is used up.
        """
        blocked = [each.unavailable() for each in self._breakers if each.seconds_left]
        if blocked:
            batch = [run for run in batch if run.effect.breaker is None or not run.effect.breaker.seconds_left]
        prepared: list[EffectRun[T]] = []

        def after_prepare(run: EffectRun[T], verdict: Verdict) -> None:
            if verdict is Verdict.ACK and run.intent is not None:
                prepared.append(run)
            else:
                on_verdict(run, verdict)

        if batch:
            await self._batches.run(batch, self._prepare, after_prepare)
        async with asyncio.TaskGroup() as group:
            for run in prepared:
                group.create_task(self._perform(run, on_verdict, blocked))
        if blocked:
            raise blocked[0]
        for breaker in self._breakers:
            if breaker.seconds_left:
                raise breaker.unavailable()

    def interrupt(self) -> None:
        """End the waits for slots of rate limits: these effects get no verdict."""
        self._interrupted.set()

    def resume(self) -> None:
        """Undo `interrupt`."""
        self._interrupted.clear()

    async def _prepare(self, batch: Sequence[EffectRun[T]]) -> None:
        """Set the intents. A delivery without an intent needs no call and is stored as processed."""
        started = time.perf_counter()
        async with self._batches.transaction() as uow:
            fresh = await self._batches.find_new(uow, batch)
            await uow.load([run.event for run in fresh])
            for run in batch:
                run.intent = None  # an earlier attempt at this step may have set it
            for run in fresh:
                with tracing.as_current(run.span):
                    run.intent = await run.effect.prepare(run.event, uow)
            idle = [run for run in fresh if run.intent is None]
            await inbox.insert_keys(uow.connection, self._consumer, {run.dedup_key for run in idle})
            await self._batches.mark_succeeded(uow, [run for run in batch if run.intent is None])
        self._batches.report(idle, [[] for _ in idle], idle, time.perf_counter() - started)
        for run in without(batch, fresh):
            self._batches.report_repeated(run)

    async def _perform(
        self,
        run: EffectRun[T],
        on_verdict: Callable[[EffectRun[T], Verdict], None],
        blocked: list[DownstreamUnavailable],
    ) -> None:
        """Make the call and report the verdict, or add to `blocked` why it is not made now."""
        admitted: AdmittedCall | None = None
        try:
            if run.effect.breaker is not None:
                admitted = await run.effect.breaker.admit()
            error = await self._call(run, admitted)
            counts = error is None or admitted is None or admitted.failed(run.dedup_key, error)
            if error is None and admitted is not None:
                admitted.succeeded()
        except DownstreamUnavailable as unavailable:
            blocked.append(unavailable)
            return
        finally:
            if admitted is not None:
                admitted.abandon()  # changes nothing after a result
        if error is None:
            on_verdict(run, await self._completions.submit(run, run))
            return
        if run.effect.breaker is not None and run.effect.breaker.seconds_left:
            self.interrupt()  # the queue pauses; calls that wait for a slot would delay the pause
        if counts:
            on_verdict(run, await self._batches.record_failure(run, error, run.started_at))
        else:
            tracing.fail(run.span, error)
            on_verdict(run, Verdict.RETRY)

    async def _call(self, run: EffectRun[T], admitted: AdmittedCall | None) -> Exception | None:
        """Return the error of the call. Raises Unavailable if the call is not made."""
        limiter = None if run.effect.rate_limit is None else self._limiters[run.effect.rate_limit]
        slot = 0.0 if limiter is None else await limiter.wait(run, self._interrupted)
        async with self._slots:
            if limiter is not None and limiter.has_passed(slot):
                await limiter.wait(run, self._interrupted)
            if admitted is not None:
                admitted.require_current()
            run.started_at = time.perf_counter()
            try:
                with inner_cancellation_as_error(), tracing.within(run.span, run.event.traceparent):
                    async with asyncio.timeout(EFFECT_TIMEOUT):
                        run.result = await run.effect.perform(run.intent)
            except Exception as error:  # noqa: BLE001 - an error of a call decides about its message only
                return error
        return None

    async def _complete(self, runs: Mapping[EffectRun[T], EffectRun[T]]) -> Mapping[EffectRun[T], Verdict]:
        verdicts: dict[EffectRun[T], Verdict] = {}
        await self._batches.run(list(runs), self._store_results, verdicts.__setitem__)
        return verdicts

    async def _store_results(self, batch: Sequence[EffectRun[T]]) -> None:
        async with self._batches.transaction() as uow:
            fresh = await self._batches.store_new(uow, batch)
            await uow.load([run.event for run in fresh])
            announced = [
                await self._batches.announce(uow, run, run.effect.complete(run.event, run.intent, run.result, uow))
                for run in fresh
            ]
            await self._batches.mark_succeeded(uow, batch)
        seconds = time.perf_counter() - min(run.started_at for run in batch)
        self._batches.report(fresh, announced, batch, seconds)
