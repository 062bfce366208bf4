"""`python -m loadtest orders`."""

import asyncio
from typing import Annotated

from cyclopts import Parameter

from devtools.local.instance import Instance
from loadtest import report
from loadtest.baseline import counts
from loadtest.baseline.command import measure_baseline, show_baseline, show_counts
from loadtest.benchmark import Connections, InstanceName, Json, Orders, Seed, finish
from loadtest.orders.run import run_orders
from loadtest.orders.warren_system import WarrenSystem
from loadtest.results import ExitCode, Host, Target
from services.registry import PROCESSES
from warren.progress import ProgressReport

MAX_RATIO = 2.5


def orders(
    *,
    orders: Orders = 2000,
    connections: Connections = 32,
    seed: Seed = 1,
    baseline: Annotated[bool, Parameter(help="Measure the baseline too, and judge target P2.")] = True,
    profile: Annotated[str | None, Parameter(help="Profile this service process.")] = None,
    json: Json = None,
    instance: InstanceName = "loadtest",
) -> int:
    """Target P2, and exactly once: orders through the whole system until they are completed.

    Every service, broker and database run on this machine; orders are placed over HTTP as fast as they are accepted.
    The baseline is the cost of the same numbers of messages and rows with the bare drivers, measured right after. With
    a profile no target is judged. Exit codes: 0 all is well, 1 an invariant is broken, 3 the target is missed.

    Examples:

        python -m loadtest orders --orders 10000 --json orders.json

        python -m loadtest orders --no-baseline --profile inventory
    """
    if profile is not None and profile not in PROCESSES:
        raise ValueError(f"no service process {profile}; there are {', '.join(PROCESSES)}")
    host, progress = Host.current(), ProgressReport()
    with Instance(instance) as held, WarrenSystem(held.dir, progress, profile=profile) as system:
        held.record(system.system.urls, {**system.servers.pids, **system.pids})
        with progress.step(f"{orders:,} orders") as step:
            run, accepted = asyncio.run(
                run_orders(system, orders=orders, connections=connections, seed=seed, on_progress=step.advance)
            )
        checks = asyncio.run(system.check_invariants(accepted))
        system.system.processes.stop_all()
        counted = asyncio.run(counts.count(system.servers.postgres.endpoint, orders))
        result = None
        if baseline and profile is None:
            with progress.step("Baseline"):
                result = asyncio.run(measure_baseline(system.servers, counted, orders))
    report.host(host, seed=seed, connections=connections)
    run.show()
    show_counts(counted)
    targets = []
    if result is not None:
        show_baseline(result, run.services_per_thousand)
        ratio = run.services_per_thousand / result.per_thousand
        targets.append(Target("P2", "CPU of all services, against the baseline", ratio, MAX_RATIO, at_most=True))
    if profile is not None:
        report.heading(f"Profile of {profile}")
        report.out.print(system.profile_file.read_text(), markup=False)
    code = finish(
        json,
        targets=targets,
        checks=checks,
        host=host,
        seed=seed,
        connections=connections,
        run=run,
        counts=counted,
        baseline=result,
    )
    return ExitCode.MET if profile else code
