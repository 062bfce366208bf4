"""Two systems side by side, one of them empty, and the same orders through both in turn."""

from collections.abc import Callable
from uuid import UUID

import msgspec

from devtools.invariants import Check
from loadtest.orders import course
from loadtest.orders.course import Course
from loadtest.samples import Summary, summary
from loadtest.size.sized import Sized

WARM_UP = 0.2  # of the orders of a course go ahead of the first pair


class Pair(msgspec.Struct, frozen=True):
    """The same orders through both, right after each other. Costs are CPU seconds of services and servers for 1,000
    orders."""

    empty: Course
    full: Course

    @property
    def ratio(self) -> float:
        return cost(self.full) / cost(self.empty)


class Comparison(msgspec.Struct, frozen=True):
    """What size costs: `ratio` of the full system's CPU for an order to the empty one's, by pair."""

    what: str
    pairs: list[Pair]
    ratio: Summary
    parts: dict[str, tuple[float, float]]
    """Part to its CPU seconds for 1,000 orders, empty and full, each the median."""
    read_through: dict[str, float]
    """Table to the rows that the full system read in it without an index, for an order. That grows with a past."""
    checks: list[Check]


def cost(done: Course) -> float:
    """CPU seconds of services and servers for 1,000 orders; of services alone where servers cannot be measured."""
    servers = sum(used for used in done.server_cpu.values() if used is not None)
    return (sum(done.service_cpu.values()) + servers) / done.orders * 1000


async def compare(
    what: str,
    empty: Sized,
    full: Sized,
    *,
    pairs: int,
    orders: int,
    connections: int,
    seed: int,
    on_progress: Callable[[float], None],
) -> Comparison:
    """Raises RunFailed when orders stop moving. What is wrong with a finished run is in `checks`."""
    found: list[Pair] = []
    accepted: dict[int, list[UUID]] = {id(empty): [], id(full): []}

    async def run(flow: Sized, number: int, count: int) -> Course:
        done, placed = await course.run(
            flow, orders=count, connections=connections, seed=seed + number, on_progress=lambda _: None
        )
        accepted[id(flow)] += placed.accepted
        return done

    for flow in (empty, full):
        await run(flow, 0, max(round(orders * WARM_UP), 1))
    before = await full.read_through()
    for number in range(1, pairs + 1):
        # Whoever is second may find a warmer machine: the first changes from pair to pair.
        done = {id(flow): await run(flow, number, orders) for flow in ((empty, full) if number % 2 else (full, empty))}
        found.append(Pair(done[id(empty)], done[id(full)]))
        on_progress(number / pairs)
    after = await full.read_through()
    read = {table: (rows - before.get(table, 0)) / (pairs * orders) for table, rows in after.items()}
    checks = [
        msgspec.structs.replace(check, name=f"{what}, {name}: {check.name}")
        for name, flow in (("empty", empty), ("full", full))
        for check in await flow.judge(accepted[id(flow)])
    ]
    return Comparison(what, found, summary([pair.ratio for pair in found]), _parts(found), read, checks)


def _parts(pairs: list[Pair]) -> dict[str, tuple[float, float]]:
    names = [*pairs[0].empty.service_cpu, *pairs[0].empty.server_cpu]
    return {name: (_median(name, [p.empty for p in pairs]), _median(name, [p.full for p in pairs])) for name in names}


def _median(part: str, courses: list[Course]) -> float:
    used = [(each.service_cpu | each.server_cpu).get(part) or 0.0 for each in courses]
    return summary([seconds / each.orders * 1000 for seconds, each in zip(used, courses, strict=True)]).median
