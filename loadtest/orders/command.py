"""`python -m loadtest orders`."""

import asyncio
from typing import Annotated

import msgspec
from cyclopts import Parameter

from devtools.invariants import Check
from devtools.local.instance import Instance
from loadtest import machine, report
from loadtest.floor import quantities
from loadtest.floor.measure import Floor, measure
from loadtest.floor.quantities import Quantities
from loadtest.mark import Exit, Mark, exit_code
from loadtest.options import Connections, InstanceName, Json, Orders, Seed
from loadtest.orders import course
from loadtest.orders.course import Course
from loadtest.orders.ours import Ours
from loadtest.shown import show_course, show_floor, show_quantities
from services.registry import PROCESSES
from warren.progress import ConsoleProgress

MOST_OF_FLOOR = 2.5


class Result(msgspec.Struct, frozen=True):
    machine: machine.Machine
    seed: int
    connections: int
    course: Course
    quantities: Quantities
    floor: Floor | None
    marks: list[Mark]
    checks: list[Check]


def orders(
    *,
    orders: Orders = 2000,
    connections: Connections = 32,
    seed: Seed = 1,
    floor: Annotated[bool, Parameter(help="Measure the floor too, and judge mark P2.")] = True,
    profile: Annotated[str | None, Parameter(help="Show where the time of this service process goes.")] = None,
    json: Json = None,
    instance: InstanceName = "loadtest",
) -> int:
    """Mark P2, and exactly once: orders through the whole system until they are completed.

    Every service, broker and database run on this machine; orders are placed over HTTP as fast as they are accepted.
    The floor is what the same numbers of messages and rows need with the bare drivers, measured right after. With a
    profile no mark is judged. Exit codes: 0 all is well, 1 an invariant is broken, 3 the mark is missed.

    Examples:

        python -m loadtest orders

        python -m loadtest orders --orders 10000 --json orders.json

        python -m loadtest orders --no-floor --profile inventory
    """
    if profile is not None and profile not in PROCESSES:
        raise ValueError(f"no service process {profile}; there are {', '.join(PROCESSES)}")
    facts, told = machine.facts(), ConsoleProgress()
    with Instance(instance) as held, Ours(held.dir, told, profile) as flow:
        held.record(flow.system.urls, {**flow.servers.pids, **flow.pids})
        with told.step(f"{orders:,} orders") as step:
            done, placed = asyncio.run(
                course.run(flow, orders=orders, connections=connections, seed=seed, on_progress=step.advance)
            )
        checks = asyncio.run(flow.judge(placed.accepted))
        flow.system.processes.stop_all()
        counted = asyncio.run(quantities.counted(flow.servers.postgres.address, orders))
        parts = None
        if floor and profile is None:
            with told.step("The floor"):
                parts = asyncio.run(measure(flow.servers, counted, orders))
    marks = [] if parts is None else [_mark(done, parts)]
    report.machine(facts, seed=seed, connections=connections)
    show_course(done)
    show_quantities(counted)
    if parts is not None:
        show_floor(parts, done.services_per_thousand)
    if profile is not None:
        report.heading(f"Profile of {profile}")
        report.out.print(flow.profile_file.read_text(), markup=False)
    report.checks(checks)
    broken = [f"{check.name}: {check.detail}" for check in checks if not check.held]
    report.marks(marks, broken)
    report.write_json(json, Result(facts, seed, connections, done, counted, parts, marks, checks))
    return exit_code(marks, broken) if profile is None else Exit.MET


def _mark(done: Course, parts: Floor) -> Mark:
    ratio = done.services_per_thousand / parts.per_thousand
    return Mark("P2", "CPU of all services, against the floor", ratio, MOST_OF_FLOOR, at_most=True)
