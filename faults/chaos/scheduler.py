"""Runs the faults of a plan, each in a thread of its own at its time, and records them."""

import random
import threading
import time
import traceback
from collections.abc import Callable, Sequence

import msgspec

from faults.chaos.environment import ChaosEnvironment
from faults.chaos.injections import INJECTIONS, NotInjected
from faults.chaos.plan import PlannedFault

RECOVERY_POLL = 1.0  # seconds


class FaultRecord(msgspec.Struct, kw_only=True):
    """One fault as it happened; times are seconds since the start of the run."""

    planned: PlannedFault
    started: float
    ended: float | None = None
    not_injected: str | None = None
    """Why it could not be injected, if so."""
    recovered: float | None = None
    """When every process ran and every queue had its consumers for the first time after it."""


class FaultScheduler:
    def __init__(self, environment: ChaosEnvironment, plan: Sequence[PlannedFault]) -> None:
        self._environment = environment
        self._plan = plan
        self._threads: list[threading.Thread] = []
        self.faults: list[FaultRecord] = []

    @property
    def active(self) -> list[str]:
        return [fault.planned.kind for fault in list(self.faults) if fault.ended is None]

    def begin(self) -> None:
        self._run_thread("faults", self._start_all)
        self._run_thread("recovery", self._watch_recovery)

    def wait(self, seconds: float) -> None:
        """Wait until every fault is over, at most `seconds`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and (self.active or len(self.faults) < len(self._plan)):
            if self._environment.stopping.is_set():
                return
            time.sleep(0.1)

    def join(self, seconds: float) -> None:
        """After the run: wait until each fault is undone, at most `seconds`."""
        deadline = time.monotonic() + seconds
        for thread in list(self._threads):
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run_thread(self, name: str, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _start_all(self) -> None:
        for planned in self._plan:
            self._environment.pause(max(0.0, planned.at - self._environment.timeline.now))
            if self._environment.stopping.is_set():
                return
            fault = FaultRecord(planned=planned, started=self._environment.timeline.now)
            self.faults.append(fault)
            self._run_thread(planned.kind, self._inject, fault)

    def _inject(self, fault: FaultRecord) -> None:
        planned, timeline = fault.planned, self._environment.timeline
        source = f"fault {planned.number}"
        timeline.write(source, f"begins: {planned.kind}, {planned.target}, {planned.seconds} s")
        try:
            rng = random.Random(planned.seed)  # noqa: S311 - must be repeatable
            INJECTIONS[planned.kind](self._environment, planned, rng)
        except NotInjected as error:
            fault.not_injected = str(error)
        except Exception as error:  # noqa: BLE001 - a fault that fails must not stop the others
            fault.not_injected = f"{type(error).__name__}: {error}"
            for line in traceback.format_exc().splitlines():
                timeline.write(source, line)
        fault.ended = timeline.now
        failure = f", not injected: {fault.not_injected}" if fault.not_injected else ""
        timeline.write(source, f"is over: {planned.kind}{failure}")

    def _watch_recovery(self) -> None:
        while not self._environment.stopping.is_set():
            now = self._environment.timeline.now
            waiting = [fault for fault in self.faults if fault.ended is not None and fault.recovered is None]
            if waiting and not self._environment.missing():
                for fault in waiting:
                    fault.recovered = now
            self._environment.pause(RECOVERY_POLL)
