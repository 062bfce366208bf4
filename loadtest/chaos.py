"""`python -m loadtest chaos`: runs the chaos test of `faults.chaos` and prints its result."""

from collections import Counter
from collections.abc import Callable, Sequence
from statistics import median
from typing import Annotated

import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number

from devtools.local.instance import Instance
from devtools.processes.supervisor import sigterm_as_interrupt
from faults.chaos.plan import PlannedFault, plan
from faults.chaos.run import RATE, ChaosProgress, ChaosResult, ChaosRun
from faults.chaos.scheduler import FaultRecord
from loadtest import report
from loadtest.benchmark import InstanceName, Json, Seed, finish
from loadtest.results import ExitCode, Host
from warren.progress import ProgressReport, ProgressStep

Minutes = Annotated[float, Parameter(validator=Number(gte=0.5, lte=600), help="How long customers order.")]
Rate = Annotated[float, Parameter(validator=Number(gt=0, lte=100), help="Orders a second, on average.")]


def chaos(
    *,
    minutes: Minutes = 10,
    seed: Seed = 1,
    rate: Rate = RATE,
    only_plan: Annotated[bool, Parameter(name="--plan", negative="", help="Show the planned faults only.")] = False,
    json: Annotated[Json, Parameter(name=["--report", "--json"])] = None,
    instance: InstanceName = "chaos",
) -> int:
    """Inject many faults while customers order, repair them, and check every invariant.

    The whole system runs on private servers, most processes twice. Faults of every kind in docs/reliability.md start
    at random, about every four seconds, up to four at a time; from seven minutes on each kind comes at least twice. The
    seed determines the faults and the orders, not how they interleave. After the last fault the system drains, and the
    invariants are checked against the responses that customers got. Exit codes: 0 all of them hold, 1 one is broken
    or the run failed, 130 interrupted.

    Examples:

        python -m loadtest chaos --minutes 10 --seed 2 --report chaos-2.json

        python -m loadtest chaos --minutes 3 --seed 7 --plan
    """
    seconds = minutes * 60
    report.heading(f"Chaos: {minutes:g} minutes, seed {seed}, {rate:g} orders a second")
    if only_plan:
        _show_plan(plan(seed, seconds))
        return ExitCode.MET
    host = Host.current()
    report.host(host, seed=seed)
    console = ProgressReport()
    with sigterm_as_interrupt(), Instance(instance) as held:
        run = ChaosRun(held.dir, seed=seed, seconds=seconds, rate=rate, report=console)
        _show_plan(run.plan)
        report.heading("Run")
        logs = f"Logs: {run.timeline.file}, {held.dir / 'logs'}."
        logs += f" To repeat: python -m loadtest chaos --minutes {minutes:g} --seed {seed} --rate {rate:g}"
        try:
            with console.step(f"{minutes:g} minutes of chaos") as step:
                run.on_progress = _progress_printer(console, step, seconds)
                result = run.run()
        except BaseException:
            report.out.print(logs, markup=False)
            raise
    _show_faults(result.faults)
    _show_result(result)
    figures = msgspec.structs.asdict(result)
    code = finish(json, checks=figures.pop("checks"), host=host, **figures)
    if code is ExitCode.BROKEN:
        report.out.print(f"  {logs}", markup=False)
    else:
        report.out.print(f"  [green]all {len(result.checks)} hold[/green] for {result.accepted:,} orders, seed {seed}")
    return code


def _show_plan(planned: Sequence[PlannedFault]) -> None:
    kinds = Counter(fault.kind for fault in planned)
    report.heading(f"Plan: {len(planned)} faults of {len(kinds)} kinds")
    for fault in planned:
        line = f"  {fault.at:6.1f} s  {fault.kind}, {fault.target}, {fault.seconds:.1f} s"
        report.out.print(line, markup=False, style="dim")


def _progress_printer(console: ProgressReport, step: ProgressStep, seconds: float) -> Callable[[ChaosProgress], None]:
    """Show progress in place on a terminal, else on a new line each time."""

    def show(now: ChaosProgress) -> None:
        active = ", ".join(now.active) or "none"
        counts = f"{now.placed:,} placed, {now.accepted:,} accepted, {now.finished:,} finished, {now.faults} faults"
        step.advance(now.at / seconds, f"{counts}; active: {active}")
        if not console.console.is_terminal:
            console.status(f"{now.at:6.0f} s  {counts}; active: {active}")

    return show


def _show_faults(faults: Sequence[FaultRecord]) -> None:
    injected = sum(fault.not_injected is None for fault in faults)
    report.heading(f"Faults: {injected} injected of {len(faults)} begun")
    rows = []
    for kind in sorted({fault.planned.kind for fault in faults}):
        same = [fault for fault in faults if fault.planned.kind == kind]
        after = [
            fault.recovered - fault.ended for fault in same if fault.recovered is not None and fault.ended is not None
        ]
        recovery = [f"{median(after):.1f}", f"{max(after):.1f}"] if after else ["", ""]
        rows.append([kind, str(sum(fault.not_injected is None for fault in same)), *recovery])
    report.table(["", "injected", "recovered after (median s)", "max"], rows)
    for fault in faults:
        if fault.not_injected is not None:
            text = f"  not injected: {fault.planned.number} {fault.planned.kind}: {fault.not_injected[:160]}"
            report.out.print(text, markup=False, style="yellow")


def _show_result(result: ChaosResult) -> None:
    report.heading(f"Orders: {result.accepted:,} accepted, in {result.seconds / 60:g} minutes")
    for name, counts in (("customers", result.profiles), ("orders", result.outcomes)):
        report.table(["", name], [[what, f"{count:,}"] for what, count in sorted(counts.items())])
    report.pairs({what: f"{count:,}" for what, count in result.counts.items()})
    report.heading("Parking lots")
    for what, counts in (("replayed", result.replays), ("parked", result.parked)):
        for reason, count in counts.most_common():
            report.out.print(f"  {count:,} {what}: {reason}", markup=False)
    report.out.print(f"  drained {result.drain_seconds:.0f} s after the last fault")
