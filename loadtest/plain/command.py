"""`python -m loadtest compare`."""

import asyncio
from typing import Annotated

import msgspec
from cyclopts import Parameter

from devtools.invariants import Check
from devtools.local.instance import Instance
from loadtest import machine, report
from loadtest.mark import Mark, exit_code
from loadtest.options import Connections, Count, InstanceName, Json, Orders, Seed
from loadtest.orders import course
from loadtest.orders.course import Course
from loadtest.orders.ours import Ours
from loadtest.plain.flow import Plain
from loadtest.samples import summary
from loadtest.shown import show_course
from warren.progress import ConsoleProgress

BOUND = 4.0


class Pair(msgspec.Struct, frozen=True):
    """One round: both on the same servers, one after the other."""

    ours: Course
    plain: Course

    @property
    def ratio(self) -> float:
        return self.ours.rate / self.plain.rate


class Result(msgspec.Struct, frozen=True):
    machine: machine.Machine
    seed: int
    connections: int
    pairs: list[Pair]
    mark: Mark
    checks: list[Check]


def compare(
    *,
    orders: Orders = 2000,
    connections: Connections = 32,
    seed: Seed = 1,
    rounds: Annotated[Count, Parameter(help="Pairs of runs; the median of their ratios is judged.")] = 1,
    json: Json = None,
    instance: InstanceName = "loadtest",
) -> int:
    """Mark P1: orders completed a second, against a plain implementation of the same flow.

    Both run in turn on the same servers, each in a fresh virtual host and database, with the same orders. What the
    plain one does, and what it is spared, stands in loadtest/plain/__init__.py. Exit codes: 0 the mark is met,
    1 an invariant is broken on either side, 3 the mark is missed.

    Examples:

        python -m loadtest compare

        python -m loadtest compare --orders 5000 --rounds 3 --json compare.json
    """
    facts, told = machine.facts(), ConsoleProgress()
    pairs: list[Pair] = []
    checks: list[Check] = []
    with Instance(instance) as held:
        for number in range(1, rounds + 1):
            with Ours(held.dir, told) as ours:
                held.record(ours.system.urls, {**ours.servers.pids, **ours.pids})

                async def run(flow: course.Flow, name: str, round_: int = number) -> tuple[Course, list[Check]]:
                    with told.step(f"Round {round_}: {orders:,} orders, {name}") as step:
                        done, placed = await course.run(
                            flow, orders=orders, connections=connections, seed=seed, on_progress=step.advance
                        )
                    return done, await flow.judge(placed.accepted)

                first, found = asyncio.run(run(ours, "ours"))
                ours.system.processes.stop_all()
                plain = Plain(ours.servers, held.dir)

                async def run_plain(plain: Plain = plain) -> tuple[Course, list[Check]]:
                    async with plain.running():
                        return await run(plain, "plain")

                second, found_too = asyncio.run(run_plain())
            pairs.append(Pair(first, second))
            checks += found + found_too
    mark = Mark("P1", "orders/s, against the plain ones", summary([pair.ratio for pair in pairs]).median, BOUND)
    report.machine(facts, seed=seed, connections=connections)
    for number, pair in enumerate(pairs, start=1):
        show_course(pair.ours, f"Round {number}, ours")
        show_course(pair.plain, f"Round {number}, plain")
    report.checks(checks)
    broken = [f"{check.name}: {check.detail}" for check in checks if not check.held]
    report.marks([mark], broken)
    report.write_json(json, Result(facts, seed, connections, pairs, mark, checks))
    return exit_code([mark], broken)
