"""One chaos run, from the first process to the verdict."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import msgspec

from devtools import invariants
from devtools.invariants import Check
from faults.chaos.customers import Customers
from faults.chaos.environment import PAYMENT_DEADLINE, Site
from faults.chaos.injections.registry import insist
from faults.chaos.ledger import Notebook
from faults.chaos.plan import Planned, plan
from faults.chaos.replays import replay_all_unrouted, replay_parked
from faults.chaos.scheduler import Fault, Storm
from faults.chaos.timeline import Timeline
from faults.chaos.workload import wishes
from services.registry import SERVICE_NAMES
from warren.progress import ProgressReport

RATE = 12.0  # orders a second
LAST_ANSWERS = 120.0  # seconds in which every customer has been answered once all is whole
MENDING = 90.0  # seconds in which everything is whole again
DRAINING = 900.0  # seconds in which everything comes to rest, at most
STANDSTILL = 60.0  # seconds without any progress, after which that is not waited for any longer
JUDGING = 20.0  # seconds in which what queues tell of their lengths becomes true
ENDING = 30.0  # seconds in which faults under way are undone when a run is interrupted
MOST = 0.6  # of the planned faults
PROGRESS = 5.0  # seconds between two lines of progress


class Progress(msgspec.Struct, frozen=True):
    """A look at a run under way."""

    at: float
    placed: int
    accepted: int
    finished: int
    faults: int
    active: list[str]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    seed: int
    seconds: float
    rate: float
    plan: list[Planned]
    faults: list[Fault]
    manners: Counter[str]
    placed: int
    accepted: int
    ends: Counter[str]
    """Orders by "STATE" or "STATE (reason)"."""
    put_off: int
    unanswered: int
    absorbed: int
    """Requests repeated under a key that had been accepted."""
    repeated: int
    """Events that a consumer recognized as known."""
    cancelling: int
    cancelled_too_late: int
    restarts: int
    late_stops: int
    """Processes that SIGTERM did not end in time, and SIGKILL did."""
    parked: Counter[str]
    """Messages in parking lots in the end, by reason."""
    replays: Counter[str]
    drained_after: float
    """Seconds from the last order to rest."""
    checks: list[Check]

    @property
    def broken(self) -> list[str]:
        return [f"{check.name}: {check.detail}" for check in self.checks if not check.held]


class Run:
    """`payment_deadline` is how many seconds an order may stay unpaid; `on_progress` is told every few seconds what has
    come about."""

    def __init__(
        self,
        folder: Path,
        *,
        seed: int,
        seconds: float,
        report: ProgressReport,
        rate: float = RATE,
        payment_deadline: float = PAYMENT_DEADLINE,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.seed, self.seconds, self.rate = seed, seconds, rate
        self.plan = plan(seed, seconds)
        self.timeline = Timeline(folder / "timeline.log")
        self.notebook = Notebook(folder / "accepted.jsonl")
        self.site = Site(folder, self.timeline, report, payment_deadline)
        self.storm = Storm(self.site, self.plan)
        self._report = report
        self.on_progress = on_progress
        self._finished = 0

    def run(self) -> Outcome:
        """Everything; leaves nothing running, however it ends."""
        try:
            with self.site:
                self.timeline.begin()
                try:
                    drained = asyncio.run(self._order())
                    return self._judge(drained)
                finally:
                    self.site.over.set()
                    self.storm.end(ENDING)
        finally:
            self.notebook.close()
            self.timeline.close()

    async def _order(self) -> float:
        customers = Customers(self.site.urls_of_orders, self.notebook, lambda: self.timeline.now)
        watching = asyncio.create_task(self._watch())
        try:
            self.storm.begin()
            await customers.shop(wishes(self.seed, self.seconds, self.rate))
            await asyncio.to_thread(self.storm.wait, MENDING)
            with self._report.step("Mending"):
                await asyncio.to_thread(self.site.mend, MENDING)
            ended = time.monotonic()
            with self._report.step("Draining") as step:
                await customers.finish(LAST_ANSWERS)
                await asyncio.to_thread(self._drain, ended, step.advance)
            return time.monotonic() - ended
        except BaseException:
            self.site.over.set()  # before the loop waits for what it has given to threads
            raise
        finally:
            watching.cancel()
            await customers.leave()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(PROGRESS)
            await asyncio.to_thread(self._count_finished)
            now = self.timeline.now
            if now <= self.seconds + PROGRESS:
                self.on_progress(self.progress)

    @property
    def progress(self) -> Progress:
        notebook, storm = self.notebook, self.storm
        done = len(storm.faults)
        return Progress(
            self.timeline.now, len(notebook.placed), len(notebook.accepted), self._finished, done, storm.active
        )

    def _count_finished(self) -> None:
        try:
            self._finished = self.site.orders("state IN ('COMPLETED', 'CANCELLED')")
        except Exception:  # noqa: BLE001 - the database may be away: the last count stands
            return

    # Afterwards

    def _drain(self, began: float, advance: Callable[[float, str], None]) -> None:
        """Until everything has come to rest, with an operator who replays what has been parked for a passing reason."""
        last, moved = insist(self._unsettled), time.monotonic()
        while time.monotonic() < min(began + DRAINING, moved + STANDSTILL) and not self.site.over.is_set():
            now = insist(self._unsettled)
            if not any(now):
                return
            if now != last:
                last, moved = now, time.monotonic()
            advance(
                (time.monotonic() - began) / DRAINING, "{} moving, {} waiting, {} to publish, {} parked".format(*now)
            )
            if unrouted := insist(lambda: replay_all_unrouted(self.site)):
                self.site.replays["unrouted"] += unrouted
            if insist(self.site.at_rest):
                # Only when nothing moves any more: what is under way may park something yet.
                self.site.replays.update(insist(lambda: replay_parked(self.site)))
            self.site.pause(1)

    def _unsettled(self) -> tuple[int, int, int, int]:
        """Orders under way, messages in queues, events in outboxes, events that can be replayed."""
        site = self.site
        moving = site.orders("state NOT IN ('COMPLETED', 'CANCELLED')")
        waiting = sum(count for name, count in site.depths().items() if not name.endswith(".dlq"))
        publishing = sum(site.waiting(service) for service in SERVICE_NAMES)
        # Poison has no type that anybody could read.
        parked = "state = 'parked' AND event_type IS NOT NULL"
        return (
            moving,
            waiting,
            publishing,
            sum(site.count(f'"{service}".failures', parked) for service in SERVICE_NAMES),
        )

    def _judge(self, drained: float) -> Outcome:
        notebook, site = self.notebook, self.site
        database, broker = site.servers.postgres.address, site.servers.broker.address
        accepted = set(notebook.accepted.values())
        checks = asyncio.run(invariants.settled(database, broker, seconds=JUDGING, accepted=accepted))
        found: dict[UUID, str] = {
            row[0]: f"{row[1]} ({row[2]})" if row[2] else row[1]
            for row in site.sql('SELECT id, state, reason FROM "order".orders')
        }
        faults = list(self.storm.faults)
        checks += [*notebook.judge(found), self._processes(), _made(self.plan, faults)]
        return Outcome(
            seed=self.seed,
            seconds=self.seconds,
            rate=self.rate,
            plan=self.plan,
            faults=faults,
            manners=notebook.by_manner(),
            placed=len(notebook.placed),
            accepted=len(notebook.accepted),
            ends=Counter(found.values()),
            put_off=notebook.put_off,
            unanswered=notebook.unanswered,
            absorbed=notebook.absorbed,
            repeated=self.timeline.counted["repeated"],
            cancelling=notebook.cancelling,
            cancelled_too_late=notebook.refused,
            restarts=site.restarts,
            late_stops=site.late_stops,
            parked=self._parked(),
            replays=site.replays,
            drained_after=drained,
            checks=checks,
        )

    def _processes(self) -> Check:
        strange = self.site.strange
        detail = "; ".join(strange[:3]) or f"started again {self.site.restarts} times, each for a known reason"
        return Check("no process ended of itself", not strange, detail)

    def _parked(self) -> Counter[str]:
        parked: Counter[str] = Counter()
        for service in SERVICE_NAMES:
            rows = self.site.sql(f"SELECT reason FROM \"{service}\".failures WHERE state = 'parked'")  # noqa: S608
            parked.update(f"{service}: {row[0][:60]}" for row in rows)
        return parked


def _made(planned: list[Planned], faults: list[Fault]) -> Check:
    """A run without faults proves nothing: most of them must have come about, and of each kind that was planned twice
    at least one."""
    made = Counter(fault.planned.kind for fault in faults if fault.hindered is None)
    wanted = Counter(fault.kind for fault in planned)
    missing = sorted(kind for kind, count in wanted.items() if count > 1 and not made[kind])
    detail = f"{made.total()} of {len(planned)} made" + (f"; none of {', '.join(missing)}" if missing else "")
    return Check("the faults of the plan were made", made.total() >= MOST * len(planned) and not missing, detail)
