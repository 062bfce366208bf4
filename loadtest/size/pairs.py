"""Runs the same orders through an empty and a preloaded system alternately, and compares the CPU time that they use."""

from collections.abc import Callable
from uuid import UUID

import msgspec

from devtools.invariants import Check
from loadtest.orders.run import OrderRun, run_orders
from loadtest.results import Summary
from loadtest.size.preloaded_system import PreloadedSystem

WARM_UP = 0.2  # orders before the first pair, as a fraction of the orders of one run


class SizePair(msgspec.Struct, frozen=True):
    """Two runs of the same orders, one directly after the other: on the empty and on the preloaded system."""

    empty: OrderRun
    full: OrderRun

    @property
    def ratio(self) -> float:
        """CPU time for an order on the preloaded system, divided by that on the empty one."""
        return self.full.per_thousand / self.empty.per_thousand


class SizeComparison(msgspec.Struct, frozen=True):
    """The result of all pairs. `full` is the preloaded system."""

    what: str
    """The preloaded data, in words."""
    pairs: list[SizePair]
    ratio: Summary
    parts: dict[str, tuple[float, float]]
    """By process or server: median CPU seconds for 1,000 orders on the empty and on the full system."""
    sequential_reads: dict[str, float]
    """By table: rows for each order that the full system read without an index. A scan of old rows shows here."""
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
    """Run a warm-up, then `pairs` pairs with `orders` orders per run. Raises RunFailed when no more orders complete."""
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
        # The first run of a pair may find other conditions, such as cold caches: the systems take turns.
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
