"""How a chaos run is shown: what is planned, how it goes, what came of it."""

from collections import Counter
from collections.abc import Callable, Sequence
from statistics import median

from faults.chaos.plan import Planned
from faults.chaos.run import Outcome, Progress
from faults.chaos.scheduler import Fault
from loadtest import report
from warren.progress import ConsoleProgress, ProgressStep


def plan(planned: Sequence[Planned]) -> None:
    kinds = Counter(fault.kind for fault in planned)
    report.heading(f"Plan: {len(planned)} faults of {len(kinds)} kinds")
    for fault in planned:
        report.out.print(
            f"  {fault.at:6.1f} s  {fault.kind}, {fault.target}, {fault.seconds:.1f} s", markup=False, style="dim"
        )


def follower(told: ConsoleProgress, step: ProgressStep, seconds: float) -> Callable[[Progress], None]:
    """Shows progress: in place on a terminal, else a line each time."""

    def follow(now: Progress) -> None:
        active = ", ".join(now.active) or "everything whole"
        counts = f"{now.placed:,} placed, {now.accepted:,} accepted, {now.finished:,} finished, {now.faults} faults"
        step.advance(now.at / seconds, f"{counts}; {active}")
        if not told.console.is_terminal:
            told.status(f"{now.at:6.0f} s  {counts}; now: {active}")

    return follow


def outcome(found: Outcome) -> None:
    _faults(found.faults)
    report.heading(f"Orders: {found.accepted:,} accepted, in {found.seconds / 60:g} minutes")
    for name, counted in (("customers who", found.manners), ("orders in the end", found.ends)):
        report.table(["", name], [[what, f"{count:,}"] for what, count in sorted(counted.items())])
    figures = {
        "put off with 503": found.put_off,
        "requests without an answer": found.unanswered,
        "requests repeated under a known key": found.absorbed,
        "events recognized as repeated": found.repeated,
        "cancellations asked for": found.cancelling,
        "of these too late": found.cancelled_too_late,
        "processes started again": found.restarts,
        "SIGTERMs that took too long": found.late_stops,
    }
    report.table([], [[what, f"{count:,}"] for what, count in figures.items()])
    report.heading("Parking lots")
    for what, counted in (("replayed", found.replays), ("parked", found.parked)):
        for reason, count in counted.most_common():
            report.out.print(f"  {count:,} {what}: {reason}", markup=False)
    report.out.print(f"  at rest {found.drained_after:.0f} s after the last fault was mended")
    report.checks(found.checks)


def _faults(faults: Sequence[Fault]) -> None:
    made = [fault for fault in faults if fault.hindered is None]
    report.heading(f"Faults: {len(made)} made of {len(faults)} begun")
    rows = []
    for kind in sorted({fault.planned.kind for fault in faults}):
        those = [fault for fault in faults if fault.planned.kind == kind]
        after = [fault.whole - fault.ended for fault in those if fault.whole is not None and fault.ended is not None]
        healed = [f"{median(after):.1f}", f"{max(after):.1f}"] if after else ["", ""]
        rows.append([kind, str(sum(fault.hindered is None for fault in those)), *healed])
    report.table(["", "made", "whole again after (median s)", "longest"], rows)
    for fault in faults:
        if fault.hindered is not None:
            text = f"  not made: {fault.planned.number} {fault.planned.kind}: {fault.hindered[:160]}"
            report.out.print(text, markup=False, style="yellow")
