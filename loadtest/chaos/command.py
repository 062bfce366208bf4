"""`python -m loadtest chaos`."""

from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from devtools.local.instance import Instance
from devtools.processes.supervisor import sigterm_as_interrupt
from faults.chaos.plan import plan
from faults.chaos.run import RATE, Run
from loadtest import machine, report
from loadtest.chaos import show
from loadtest.mark import Exit
from loadtest.options import InstanceName, Json, Seed
from warren.progress import ConsoleProgress

Minutes = Annotated[float, Parameter(validator=Number(gte=0.5, lte=600), help="How long customers order.")]
Rate = Annotated[float, Parameter(validator=Number(gt=0, lte=100), help="Orders a second, on average.")]


def chaos(
    *,
    minutes: Minutes = 10,
    seed: Seed = 1,
    rate: Rate = RATE,
    only_plan: Annotated[bool, Parameter(name="--plan", negative="", help="Show what would fail when.")] = False,
    json: Annotated[Json, Parameter(name=["--report", "--json"])] = None,
    instance: InstanceName = "chaos",
) -> int:
    """Let everything fail while customers order, mend it, and judge what came of it.

    The whole system runs on private servers, most processes twice. Faults of every kind of docs/reliability.md come
    at random, about one in four seconds, up to four at a time; from seven minutes on each kind comes at least twice.
    The seed decides what fails when and what is ordered; how that meets is up to the machine. In the end everything
    is mended and comes to rest, and the invariants are judged over what customers were told. Exit codes: 0 all of
    them hold, 1 one is broken or the run failed, 130 interrupted.

    Examples:

        python -m loadtest chaos

        python -m loadtest chaos --minutes 1 --seed 7

        python -m loadtest chaos --minutes 10 --seed 2 --report chaos-2.json

        python -m loadtest chaos --minutes 3 --seed 7 --plan
    """
    seconds = minutes * 60
    report.heading(f"Chaos: {minutes:g} minutes, seed {seed}, {rate:g} orders a second")
    if only_plan:
        show.plan(plan(seed, seconds))
        return Exit.MET
    report.machine(machine.facts(), seed=seed)
    again = f"python -m loadtest chaos --minutes {minutes:g} --seed {seed} --rate {rate:g}"
    told = ConsoleProgress()
    with sigterm_as_interrupt(), Instance(instance) as held:
        run = Run(held.dir, seed=seed, seconds=seconds, rate=rate, report=told)
        show.plan(run.plan)
        report.heading("Run")
        kept = f"Logs: {run.timeline.file}, {held.dir / 'logs'}. The same again: {again}"
        try:
            with told.step(f"{minutes:g} minutes of chaos") as step:
                run.on_progress = show.follower(told, step, seconds)
                outcome = run.run()
        except BaseException:
            report.out.print(kept, markup=False)
            raise
    show.outcome(outcome)
    report.write_json(json, outcome)
    report.marks([], outcome.broken)
    if outcome.broken:
        report.out.print(f"  {kept}", markup=False)
        return Exit.BROKEN
    report.out.print(f"  [green]all {len(outcome.checks)} hold[/green] for {outcome.accepted:,} orders, seed {seed}")
    return Exit.MET
