"""`python -m loadtest compare`."""

import asyncio
from typing import Annotated

import msgspec
from cyclopts import Parameter

from devtools.invariants import Check
from devtools.local.instance import Instance
from loadtest import report
from loadtest.benchmark import Connections, Count, InstanceName, Json, Orders, Seed, finish
from loadtest.orders.run import OrderRun, OrderSystem, run_orders
from loadtest.orders.warren_system import WarrenSystem
from loadtest.plain.system import PlainSystem
from loadtest.results import Host, Summary, Target
from warren.progress import ProgressReport

MIN_RATIO = 4.0


class ImplementationPair(msgspec.Struct, frozen=True):
    """One round: the same orders with both implementations, on the same servers, one after the other."""

    warren: OrderRun
    plain: OrderRun

    @property
    def ratio(self) -> float:
        return self.warren.rate / self.plain.rate


def compare(
    *,
    orders: Orders = 2000,
    connections: Connections = 32,
    seed: Seed = 1,
    rounds: Annotated[Count, Parameter(help="Pairs of runs; the median of their ratios is judged.")] = 1,
    json: Json = None,
    instance: InstanceName = "loadtest",
) -> int:
    """Target P1: orders completed a second, against a plain implementation of the same flow.

    Both run in turn on the same servers, each in a new virtual host and database, with the same orders. The plain
    implementation is described in loadtest/plain/__init__.py. Exit codes: 0 the target is met, 1 an invariant is broken
    on either side, 3 the target is missed.

    Examples:

        python -m loadtest compare --orders 5000 --rounds 3 --json compare.json
    """
    host, progress = Host.current(), ProgressReport()
    pairs: list[ImplementationPair] = []
    checks: list[Check] = []

    async def run(system: OrderSystem, name: str) -> OrderRun:
        with progress.step(f"{name}: {orders:,} orders") as step:
            done, accepted = await run_orders(
                system, orders=orders, connections=connections, seed=seed, on_progress=step.advance
            )
        checks.extend(await system.check_invariants(accepted))
        return done

    async def run_plain(system: PlainSystem, name: str) -> OrderRun:
        async with system.running():
            return await run(system, name)

    with Instance(instance) as held:
        for number in range(1, rounds + 1):
            with WarrenSystem(held.dir, progress) as warren:
                held.record(warren.system.urls, {**warren.servers.pids, **warren.pids})
                first = asyncio.run(run(warren, f"Round {number}, warren"))
                warren.system.processes.stop_all()
                second = asyncio.run(run_plain(PlainSystem(warren.servers, held.dir), f"Round {number}, plain"))
            pairs.append(ImplementationPair(first, second))
    report.host(host, seed=seed, connections=connections)
    for number, pair in enumerate(pairs, start=1):
        pair.warren.show(f"Round {number}, warren")
        pair.plain.show(f"Round {number}, plain")
    ratio = Summary.of([pair.ratio for pair in pairs]).median
    return finish(
        json,
        targets=[Target("P1", "orders/s, against the plain implementation", ratio, MIN_RATIO)],
        checks=checks,
        host=host,
        seed=seed,
        connections=connections,
        pairs=pairs,
    )
