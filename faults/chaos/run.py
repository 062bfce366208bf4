"""One chaos run: starts the system, injects the plan while customers order, lets it drain, and checks the result."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import msgspec

from devtools import invariants
from devtools.invariants import Check
from faults.chaos.customers import ChaosCustomers
from faults.chaos.environment import PAYMENT_DEADLINE, RESTARTS, ChaosEnvironment
from faults.chaos.injections.registry import retry
from faults.chaos.ledger import ClientLedger
from faults.chaos.plan import PlannedFault, plan
from faults.chaos.replays import replay_all_unrouted, replay_parked
from faults.chaos.scheduler import FaultRecord, FaultScheduler
from faults.chaos.timeline import Timeline
from faults.chaos.workload import workload
from services.registry import SERVICE_NAMES
from warren.progress import ProgressReport

RATE = 12.0  # orders a second
RESPONSE_SECONDS = 120.0  # until every customer has a response after the recovery
RECOVERY_SECONDS = 90.0
DRAIN_SECONDS = 900.0
STALL_SECONDS = 60.0  # without progress, after which draining ends
CHECK_SECONDS = 20.0  # until the reported queue depths are current
JOIN_SECONDS = 30.0  # for the faults under way when a run is interrupted
MIN_INJECTED = 0.6  # of the planned faults
PROGRESS_INTERVAL = 5.0  # seconds


class ChaosProgress(msgspec.Struct, frozen=True):
    at: float
    placed: int
    accepted: int
    finished: int
    faults: int
    active: list[str]


class ChaosResult(msgspec.Struct, frozen=True, kw_only=True):
    seed: int
    seconds: float
    rate: float
    plan: list[PlannedFault]
    faults: list[FaultRecord]
    profiles: Counter[str]
    placed: int
    accepted: int
    outcomes: Counter[str]
    """Orders by "STATE" or "STATE (reason)"."""
    counts: Counter[str]
    """Numbers of HTTP responses, repeated events and restarts."""
    parked: Counter[str]
    """Messages in parking lots at the end, by reason."""
    replays: Counter[str]
    drain_seconds: float
    """Time from the last fault until no message and no order was in progress."""
    checks: list[Check]

    @property
    def broken(self) -> list[str]:
        return [f"{check.name}: {check.detail}" for check in self.checks if not check.held]


class ChaosRun:
    """`payment_deadline` is in seconds; `on_progress` is called every few seconds."""

    def __init__(
        self,
        folder: Path,
        *,
        seed: int,
        seconds: float,
        report: ProgressReport,
        rate: float = RATE,
        payment_deadline: float = PAYMENT_DEADLINE,
        on_progress: Callable[[ChaosProgress], None] = lambda _: None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.seed, self.seconds, self.rate = seed, seconds, rate
        self.plan = plan(seed, seconds)
        self.timeline = Timeline(folder / "timeline.log")
        self.ledger = ClientLedger(folder / "accepted.jsonl")
        self.environment = ChaosEnvironment(folder, self.timeline, report, payment_deadline)
        self.scheduler = FaultScheduler(self.environment, self.plan)
        self._report = report
        self.on_progress = on_progress
        self._finished = 0

    def run(self) -> ChaosResult:
        """Run to the end; leaves no process behind, even after an error."""
        try:
            with self.environment:
                self.timeline.begin()
                try:
                    drain_seconds = asyncio.run(self._order())
                    return self._result(drain_seconds)
                finally:
                    self.environment.stopping.set()
                    self.scheduler.join(JOIN_SECONDS)
        finally:
            self.ledger.close()
            self.timeline.close()

    async def _order(self) -> float:
        """Returns the seconds that draining took."""
        customers = ChaosCustomers(self.environment.order_urls, self.ledger, lambda: self.timeline.now)
        progress = asyncio.create_task(self._show_progress())
        try:
            self.scheduler.begin()
            await customers.place(workload(self.seed, self.seconds, self.rate))
            await asyncio.to_thread(self.scheduler.wait, RECOVERY_SECONDS)
            with self._report.step("Recovering"):
                await asyncio.to_thread(self.environment.recover, RECOVERY_SECONDS)
            ended = time.monotonic()
            with self._report.step("Draining") as step:
                await customers.finish(RESPONSE_SECONDS)
                await asyncio.to_thread(self._drain, ended, step.advance)
            return time.monotonic() - ended
        except BaseException:
            self.environment.stopping.set()  # before the loop waits for its threads
            raise
        finally:
            progress.cancel()
            await customers.close()

    async def _show_progress(self) -> None:
        while True:
            await asyncio.sleep(PROGRESS_INTERVAL)
            await asyncio.to_thread(self._count_finished)
            if self.timeline.now <= self.seconds + PROGRESS_INTERVAL:
                self.on_progress(self._progress)

    @property
    def _progress(self) -> ChaosProgress:
        return ChaosProgress(
            at=self.timeline.now,
            placed=len(self.ledger.placed),
            accepted=len(self.ledger.accepted),
            finished=self._finished,
            faults=len(self.scheduler.faults),
            active=self.scheduler.active,
        )

    def _count_finished(self) -> None:
        try:
            self._finished = self.environment.count_orders("state IN ('COMPLETED', 'CANCELLED')")
        except Exception:  # noqa: BLE001 - the database may be unavailable: keep the last count
            return

    # After the faults

    def _drain(self, began: float, advance: Callable[[float, str], None]) -> None:
        """Wait until nothing is left to do, and replay messages whose reason for being parked is gone."""
        env = self.environment
        last, moved = retry(self._left_to_do), time.monotonic()
        while time.monotonic() < min(began + DRAIN_SECONDS, moved + STALL_SECONDS) and not env.stopping.is_set():
            now = retry(self._left_to_do)
            if not any(now):
                return
            if now != last:
                last, moved = now, time.monotonic()
            detail = "{} orders active, {} messages queued, {} to publish, {} parked".format(*now)
            advance((time.monotonic() - began) / DRAIN_SECONDS, detail)
            if unrouted := retry(lambda: replay_all_unrouted(env)):
                env.replays["unrouted"] += unrouted
            if retry(env.is_idle):
                # Not before: an active order may still cause a message to be parked.
                env.replays.update(retry(lambda: replay_parked(env)))
            env.pause(1)

    def _left_to_do(self) -> tuple[int, int, int, int]:
        """Count active orders, messages in queues, events in outboxes, and parked events that can be replayed."""
        env = self.environment
        replayable = "state = 'parked' AND event_type IS NOT NULL"  # a poison message has no type
        return (
            env.count_orders("state NOT IN ('COMPLETED', 'CANCELLED')"),
            sum(count for name, count in env.queue_depths().items() if not name.endswith(".dlq")),
            sum(env.outbox_size(service) for service in SERVICE_NAMES),
            sum(env.count(f'"{service}".failures', replayable) for service in SERVICE_NAMES),
        )

    def _result(self, drain_seconds: float) -> ChaosResult:
        ledger, environment = self.ledger, self.environment
        database, broker = environment.servers.postgres.endpoint, environment.servers.broker.endpoints
        accepted = set(ledger.accepted.values())
        checks = asyncio.run(invariants.wait_for_invariants(database, broker, seconds=CHECK_SECONDS, accepted=accepted))
        found: dict[UUID, str] = {
            row[0]: f"{row[1]} ({row[2]})" if row[2] else row[1]
            for row in environment.sql('SELECT id, state, reason FROM "order".orders')
        }
        faults = list(self.scheduler.faults)
        checks += [*ledger.check(found), self._check_exits(), _check_injected(self.plan, faults)]
        return ChaosResult(
            seed=self.seed,
            seconds=self.seconds,
            rate=self.rate,
            plan=self.plan,
            faults=faults,
            profiles=ledger.by_profile(),
            placed=len(ledger.placed),
            accepted=len(ledger.accepted),
            outcomes=Counter(found.values()),
            counts=ledger.counts + environment.counts + self.timeline.counts,
            parked=self._parked(),
            replays=environment.replays,
            drain_seconds=drain_seconds,
            checks=checks,
        )

    def _check_exits(self) -> Check:
        unexpected = self.environment.unexpected_exits
        detail = (
            "; ".join(unexpected[:3]) or f"{self.environment.counts[RESTARTS]} restarts, each after an injected fault"
        )
        return Check("a fault explains every exit of a process", not unexpected, detail)

    def _parked(self) -> Counter[str]:
        parked: Counter[str] = Counter()
        for service in SERVICE_NAMES:
            rows = self.environment.sql(f"SELECT reason FROM \"{service}\".failures WHERE state = 'parked'")  # noqa: S608
            parked.update(f"{service}: {row[0][:60]}" for row in rows)
        return parked


def _check_injected(planned: list[PlannedFault], faults: list[FaultRecord]) -> Check:
    """Most faults were injected, and at least one of each kind that was planned twice: else the run proves nothing."""
    injected = Counter(fault.planned.kind for fault in faults if fault.not_injected is None)
    wanted = Counter(fault.kind for fault in planned)
    missing = sorted(kind for kind, count in wanted.items() if count > 1 and not injected[kind])
    detail = f"{injected.total()} of {len(planned)} injected" + (f"; none of {', '.join(missing)}" if missing else "")
    enough = injected.total() >= MIN_INJECTED * len(planned)
    return Check("the faults of the plan were injected", enough and not missing, detail)
