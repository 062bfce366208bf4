"""`python -m loadtest size`."""

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from devtools.local.instance import Instance
from loadtest import report
from loadtest.benchmark import Connections, Count, InstanceName, Json, Orders, Seed, finish
from loadtest.results import Host, Target
from loadtest.size.pairs import SizeComparison, compare_sizes
from loadtest.size.preloaded_system import QUEUE, STOPPED, PreloadedSystem
from warren.progress import ProgressReport

MAX_RATIO = 1.10

SizeKind = Literal["rows", "messages"]


def size(
    *,
    rows: Annotated[Count, Parameter(help="Rows in every table that grows.")] = 1_000_000,
    messages: Annotated[Count, Parameter(help="Messages that wait in a queue.")] = 1_000_000,
    pairs: Annotated[Count, Parameter(help="Pairs of runs; the median of their ratios is judged.")] = 5,
    orders: Orders = 1000,
    of: Annotated[list[SizeKind] | None, Parameter(help="Only this kind of size; both unless given.")] = None,
    connections: Connections = 32,
    seed: Seed = 1,
    json: Json = None,
    instance: InstanceName = "loadtest",
) -> int:
    """Target P5: the cost of an order with many old rows, and beside a long queue, against an empty system.

    Two whole systems run side by side, and the same orders go through each in turn. One is filled: first with the rows
    of completed orders of the last month, consistent in every table; then, both new again and without the email
    service, with messages in its queue. CPU of services, broker and database is compared. An outbox keeps no old rows,
    since published ones are removed; as many rows were in it once.

    Needs 10 GiB of disk and, by default, 20 minutes. Exit codes: 0 the target is met, 1 an invariant is broken, 3 the
    target is missed.

    Examples:

        python -m loadtest size --of rows --rows 100000 --pairs 3
    """
    host, progress = Host.current(), ProgressReport()

    def measure(kind: SizeKind, folders: list[Path]) -> SizeComparison:
        stopped = [] if kind == "rows" else [STOPPED]
        with (
            PreloadedSystem(folders[0], progress, stopped=stopped) as empty,
            PreloadedSystem(folders[1], progress, stopped=stopped) as full,
        ):
            if kind == "rows":
                with progress.step(f"{rows:,} rows in every table") as step:
                    total = asyncio.run(full.fill_tables(rows, step.advance))
                what = f"{rows:,} rows in each table, {total:,} in all"
            else:
                what = f"{messages:,} messages in {QUEUE}"
                with progress.step(what) as step:
                    asyncio.run(full.fill_queue(messages, step.advance))
            with progress.step(f"{pairs} pairs of {orders:,} orders") as step:
                options = {"pairs": pairs, "orders": orders, "connections": connections, "seed": seed}
                return asyncio.run(compare_sizes(what, empty, full, **options, on_progress=step.advance))

    with ExitStack() as stack:
        held = [stack.enter_context(Instance(name)) for name in (f"{instance}-empty", f"{instance}-full")]
        comparisons = [measure(kind, [each.dir for each in held]) for kind in of or ("rows", "messages")]
    report.host(host, seed=seed, connections=connections, orders=f"{orders:,} in each run")
    for comparison in comparisons:
        _show(comparison)
    return finish(
        json,
        targets=[
            Target("P5", f"CPU with {each.what}, against empty", each.ratio.median, MAX_RATIO, at_most=True)
            for each in comparisons
        ],
        checks=[check for comparison in comparisons for check in comparison.checks],
        host=host,
        seed=seed,
        connections=connections,
        rows=rows,
        messages=messages,
        comparisons=comparisons,
    )


def _show(comparison: SizeComparison) -> None:
    report.heading(f"With {comparison.what}")
    report.table(
        ["CPU seconds for 1,000 orders", "empty", "full", "full / empty"],
        [
            [part, f"{empty:.2f}", f"{full:.2f}", f"{full / empty:.2f}" if empty else ""]
            for part, (empty, full) in comparison.parts.items()
        ],
    )
    ratios = ", ".join(f"{pair.ratio:.3f}" for pair in comparison.pairs)
    report.out.print(f"  all, by pair: {ratios}; median {comparison.ratio.median:.3f}")
    most = sorted(comparison.sequential_reads.items(), key=lambda each: -each[1])[:5]
    reads = ", ".join(f"{rows:.0f} of {table}" for table, rows in most)
    report.out.print(f"  rows read without an index for each order, full: {reads}")
    rates = "; ".join(f"{pair.empty.rate:.0f} and {pair.full.rate:.0f}" for pair in comparison.pairs)
    report.out.print(f"  orders a second, empty and full: {rates}")
