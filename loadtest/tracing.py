"""`python -m loadtest tracing`."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from typing import Annotated
from uuid import UUID

import msgspec
from cyclopts import Parameter

from devtools.invariants import Check
from devtools.local.instance import Instance
from loadtest import report
from loadtest.benchmark import Connections, Count, InstanceName, Json, Orders, Seed, finish
from loadtest.orders.run import OrderRun, run_orders
from loadtest.orders.warren_system import WarrenSystem
from loadtest.results import Host, Summary, Target
from warren.progress import ProgressReport
from warren.sinks.traces import TraceSink

MAX_RATIO = 1.05
WARM_UP = 0.2  # orders before the first pair, as a fraction of the orders of one run


class TracingPair(msgspec.Struct, frozen=True):
    """Two runs of the same orders, one directly after the other."""

    off: OrderRun
    on: OrderRun

    @property
    def ratio(self) -> float:
        """CPU time of the services for an order with traces, divided by that without."""
        return self.on.services_per_thousand / self.off.services_per_thousand


class TracingComparison(msgspec.Struct, frozen=True):
    """All pairs, and whether both systems kept the invariants."""

    pairs: list[TracingPair]
    checks: list[Check]
    spans: int
    """Spans that the trace store received."""

    @property
    def ratio(self) -> Summary:
        return Summary.of([pair.ratio for pair in self.pairs])


async def compare_tracing(
    off: WarrenSystem,
    on: WarrenSystem,
    sink: TraceSink,
    *,
    pairs: int,
    orders: int,
    connections: int,
    seed: int,
    on_progress: Callable[[float], None] = lambda _: None,
) -> TracingComparison:
    """Run a warm-up, then `pairs` pairs with `orders` orders per run. Raises RunFailed when no more orders complete."""
    accepted: dict[WarrenSystem, list[UUID]] = {off: [], on: []}

    async def run(system: WarrenSystem, number: int, count: int) -> OrderRun:
        done, placed = await run_orders(system, orders=count, connections=connections, seed=seed + number)
        accepted[system] += placed
        return done

    for system in (off, on):
        await run(system, 0, max(round(orders * WARM_UP), 1))
    found = []
    for number in range(1, pairs + 1):
        # The first run of a pair may find other conditions, such as cold caches: the systems take turns.
        order = (off, on) if number % 2 else (on, off)
        runs = {system: await run(system, number, orders) for system in order}
        found.append(TracingPair(runs[off], runs[on]))
        on_progress(number / pairs)
    checks = [
        msgspec.structs.replace(check, name=f"traces {name}: {check.name}")
        for name, system in (("off", off), ("on", on))
        for check in await system.check_invariants(accepted[system])
    ]
    return TracingComparison(found, checks, sum(len(spans) for _, spans in sink.store.newest()))


def tracing(
    *,
    ratio: Annotated[float, Parameter(help="Fraction of the traces that are recorded.")] = 0.1,
    pairs: Annotated[Count, Parameter(help="Pairs of runs; the median of their ratios is judged.")] = 5,
    orders: Orders = 1000,
    connections: Connections = 32,
    seed: Seed = 1,
    json: Json = None,
    instance: InstanceName = "loadtest",
) -> int:
    """Target P11: the CPU of the services for an order with traces, against without.

    Two whole systems run side by side, and the same orders go through each in turn. The services of one export their
    spans to a trace store in this process, whose CPU is not counted. Exit codes: 0 the target is met, 1 an invariant is
    broken, 3 the target is missed.

    Examples:

        python -m loadtest tracing --pairs 3 --ratio 1
    """
    host, progress = Host.current(), ProgressReport()
    sink = TraceSink()
    with ExitStack() as stack:
        folders = [stack.enter_context(Instance(f"{instance}-{name}")).dir for name in ("off", "on")]
        stack.callback(sink.stop)
        sink.start()
        exported = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.url, "OTEL_TRACES_SAMPLER_ARG": str(ratio)}
        off = stack.enter_context(WarrenSystem(folders[0], progress))
        on = stack.enter_context(WarrenSystem(folders[1], progress, environment=exported))
        with progress.step(f"{pairs} pairs of {orders:,} orders") as step:
            options = {"pairs": pairs, "orders": orders, "connections": connections, "seed": seed}
            found = asyncio.run(compare_tracing(off, on, sink, **options, on_progress=step.advance))
    report.host(host, seed=seed, connections=connections, orders=f"{orders:,} in each run", recorded=ratio)
    _show(found)
    broken = [] if found.spans else ["the trace store received no span"]
    return finish(
        json,
        targets=[Target("P11", "CPU of all services with traces", found.ratio.median, MAX_RATIO, at_most=True)],
        checks=found.checks,
        broken=broken,
        host=host,
        seed=seed,
        connections=connections,
        recorded=ratio,
        comparison=found,
    )


def _show(found: TracingComparison) -> None:
    report.heading(f"Traces: {found.spans:,} spans received")
    rows = []
    for part in found.pairs[0].off.service_cpu:
        off, on = (
            Summary.of([run.service_cpu[part] / run.orders * 1000 for run in runs]).median
            for runs in ([pair.off for pair in found.pairs], [pair.on for pair in found.pairs])
        )
        rows.append([part, f"{off:.2f}", f"{on:.2f}", f"{on / off:.2f}" if off else ""])
    report.table(["CPU seconds for 1,000 orders", "off", "on", "on / off"], rows)
    ratios = ", ".join(f"{pair.ratio:.3f}" for pair in found.pairs)
    report.out.print(f"  services, by pair: {ratios}; median {found.ratio.median:.3f}")
    whole = Summary.of([pair.on.per_thousand / pair.off.per_thousand for pair in found.pairs])
    report.out.print(f"  with broker and database: median {whole.median:.3f}")
