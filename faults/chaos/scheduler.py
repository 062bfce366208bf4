"""The faults of a plan, each in a thread of its own at its time, and what became of them."""

import random
import threading
import time
import traceback
from collections.abc import Sequence

import msgspec

from faults.chaos.environment import Site
from faults.chaos.injections import INJECTIONS, Hindered
from faults.chaos.plan import Planned

LOOKING = 1.0  # seconds between two looks at whether everything is whole


class Fault(msgspec.Struct, kw_only=True):
    """One fault as it happened; times are seconds since the beginning."""

    planned: Planned
    started: float
    ended: float | None = None
    hindered: str | None = None
    """Why it could not be made, if so."""
    whole: float | None = None
    """When every process ran and consumed again for the first time after it."""


class Storm:
    def __init__(self, site: Site, plan: Sequence[Planned]) -> None:
        self._site = site
        self._plan = plan
        self._threads: list[threading.Thread] = []
        self.faults: list[Fault] = []

    @property
    def active(self) -> list[str]:
        return [fault.planned.kind for fault in list(self.faults) if fault.ended is None]

    def begin(self) -> None:
        for work in (self._start_all, self._look):
            thread = threading.Thread(target=work, name=work.__name__, daemon=True)
            thread.start()
            self._threads.append(thread)

    def wait(self, seconds: float) -> None:
        """Until every fault is over, at most so long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and (self.active or len(self.faults) < len(self._plan)):
            if self._site.over.is_set():
                return
            time.sleep(0.1)

    def end(self, seconds: float) -> None:
        """Once the run is over: wait until each fault has been undone, at most so long."""
        deadline = time.monotonic() + seconds
        for thread in list(self._threads):
            thread.join(max(0.0, deadline - time.monotonic()))

    def _start_all(self) -> None:
        for planned in self._plan:
            self._site.pause(max(0.0, planned.at - self._site.timeline.now))
            if self._site.over.is_set():
                return
            fault = Fault(planned=planned, started=self._site.timeline.now)
            self.faults.append(fault)
            thread = threading.Thread(target=self._make, args=(fault,), name=planned.kind, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _make(self, fault: Fault) -> None:
        planned, timeline = fault.planned, self._site.timeline
        who = f"fault {planned.number}"
        timeline.note(who, f"begins: {planned.kind}, {planned.target}, {planned.seconds} s")
        try:
            INJECTIONS[planned.kind](self._site, planned, random.Random(planned.dice))  # noqa: S311 - repeatable
        except Hindered as error:
            fault.hindered = str(error)
        except Exception as error:  # noqa: BLE001 - one fault that cannot be made must not end the others
            fault.hindered = f"{type(error).__name__}: {error}"
            for line in traceback.format_exc().splitlines():
                timeline.note(who, line)
        fault.ended = timeline.now
        timeline.note(who, f"is over: {planned.kind}" + (f", hindered: {fault.hindered}" if fault.hindered else ""))

    def _look(self) -> None:
        while not self._site.over.is_set():
            looked = self._site.timeline.now
            waiting = [fault for fault in self.faults if fault.ended is not None and fault.whole is None]
            if waiting and not self._site.missing():
                for fault in waiting:
                    fault.whole = looked
            self._site.pause(LOOKING)
