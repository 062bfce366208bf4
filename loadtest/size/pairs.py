"""Runs the same orders through an empty and a preloaded system in turn, and compares their CPU."""

from collections.abc import Callable
from uuid import UUID

import msgspec

from devtools.invariants import Check
from loadtest.orders.run import OrderRun, run_orders
from loadtest.results import Summary
from loadtest.size.preloaded_system import PreloadedSystem

WARM_UP = 0.2  # of the orders of a run precede the first pair


class SizePair(msgspec.Struct, frozen=True):
    """The same orders through both systems, one right after the other."""

    empty: OrderRun
    full: OrderRun

    @property
    def ratio(self) -> float:
        """Full to empty, in CPU of services and servers for each order."""
        return self.full.per_thousand / self.empty.per_thousand


class SizeComparison(msgspec.Struct, frozen=True):
    what: str
    pairs: list[SizePair]
    ratio: Summary
    parts: dict[str, tuple[float, float]]
    """Process or server to its CPU seconds for 1,000 orders, empty and full, each the median."""
    sequential_reads: dict[str, float]
    """Table to the rows that the full system read without an index, for each order. Grows with old rows."""
    checks: list[Check]


async def compare_sizes(
    what: str,
    empty: PreloadedSystem,
    full: PreloadedSystem,
    *,
    pairs: int,
    orders: int,
    connections: int,
    seed: int,
    on_progress: Callable[[float], None],
) -> SizeComparison:
    """Raises RunFailed when orders stall."""
    found: list[SizePair] = []
    accepted: dict[PreloadedSystem, list[UUID]] = {empty: [], full: []}

    async def run(system: PreloadedSystem, number: int, count: int) -> OrderRun:
        done, placed = await run_orders(system, orders=count, connections=connections, seed=seed + number)
        accepted[system] += placed
        return done

    for system in (empty, full):
        await run(system, 0, max(round(orders * WARM_UP), 1))
    before = await full.sequential_reads()
    for number in range(1, pairs + 1):
        # The second run of a pair finds a warmer machine, so the order alternates.
        order = (empty, full) if number % 2 else (full, empty)
        runs = {system: await run(system, number, orders) for system in order}
        found.append(SizePair(runs[empty], runs[full]))
        on_progress(number / pairs)
    after = await full.sequential_reads()
    checks = [
        msgspec.structs.replace(check, name=f"{what}, {name}: {check.name}")
        for name, system in (("empty", empty), ("full", full))
        for check in await system.check_invariants(accepted[system])
    ]
    return SizeComparison(
        what=what,
        pairs=found,
        ratio=Summary.of([pair.ratio for pair in found]),
        parts={
            part: (_median(part, [pair.empty for pair in found]), _median(part, [pair.full for pair in found]))
            for part in [*found[0].empty.service_cpu, *found[0].empty.server_cpu]
        },
        sequential_reads={table: (rows - before.get(table, 0)) / (pairs * orders) for table, rows in after.items()},
        checks=checks,
    )


def _median(part: str, runs: list[OrderRun]) -> float:
    used = [((run.service_cpu | run.server_cpu).get(part) or 0.0) / run.orders * 1000 for run in runs]
    return Summary.of(used).median
