"""`python -m loadtest size`."""

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from cyclopts import Parameter

from devtools.local.instance import Instance
from loadtest import machine, report
from loadtest.mark import Mark, exit_code
from loadtest.options import Connections, Count, InstanceName, Json, Orders, Seed
from loadtest.size.pairs import Comparison, compare
from loadtest.size.sized import AWAY, Sized
from warren.progress import ConsoleProgress

BOUND = 1.10

Of = Literal["rows", "messages"]


class Result(msgspec.Struct, frozen=True):
    machine: machine.Machine
    seed: int
    connections: int
    rows: int
    messages: int
    comparisons: list[Comparison]
    marks: list[Mark]


def size(
    *,
    rows: Annotated[Count, Parameter(help="Rows in every table that grows.")] = 1_000_000,
    messages: Annotated[Count, Parameter(help="Messages that wait in a queue.")] = 1_000_000,
    pairs: Annotated[Count, Parameter(help="Pairs of runs; the median of their ratios is judged.")] = 5,
    orders: Orders = 1000,
    of: Annotated[list[Of] | None, Parameter(help="Only this kind of size; both unless given.")] = None,
    connections: Connections = 32,
    seed: Seed = 1,
    json: Json = None,
    instance: InstanceName = "loadtest",
) -> int:
    """Mark P5: what an order costs with a long past, and beside a long queue, against the empty system.

    Two whole systems run side by side, and the same orders go through each in turn. One has been filled: with rows of
    completed orders of the last month, consistent in every table; then, both fresh again and without the email service,
    with messages in its queue. CPU of services, broker and database is compared. The outbox has no past: what is
    published is removed; as many rows were in it, once.

    Needs 10 GiB of disk and, by default, 20 minutes. Exit codes: 0 the mark is met, 1 an invariant is broken, 3 the
    mark is missed.

    Examples:

        python -m loadtest size

        python -m loadtest size --of rows --rows 100000 --pairs 3
    """
    facts, told = machine.facts(), ConsoleProgress()
    comparisons: list[Comparison] = []
    with ExitStack() as stack:
        held = [stack.enter_context(Instance(name)) for name in (f"{instance}-empty", f"{instance}-full")]
        for kind in of or ("rows", "messages"):
            amount = rows if kind == "rows" else messages
            course = (pairs, orders, connections, seed)
            comparisons.append(_measure(kind, amount, [each.dir for each in held], told, course))
    marks = [Mark("P5", f"CPU with {each.what}, against empty", each.ratio.median, BOUND, True) for each in comparisons]
    report.machine(facts, seed=seed, connections=connections, orders=f"{orders:,} in each run")
    for comparison in comparisons:
        _show(comparison)
    checks = [check for comparison in comparisons for check in comparison.checks]
    report.checks(checks)
    broken = [f"{check.name}: {check.detail}" for check in checks if not check.held]
    report.marks(marks, broken)
    report.write_json(json, Result(facts, seed, connections, rows, messages, comparisons, marks))
    return exit_code(marks, broken)


def _measure(
    kind: Of, amount: int, folders: list[Path], told: ConsoleProgress, course: tuple[int, int, int, int]
) -> Comparison:
    pairs, orders, connections, seed = course
    away = None if kind == "rows" else AWAY
    with Sized(folders[0], told, away=away) as empty, Sized(folders[1], told, away=away) as full:
        if kind == "rows":
            with told.step(f"{amount:,} rows in every table") as step:
                total = asyncio.run(full.past(amount, lambda done, table, step=step: step.advance(done, table)))  # type: ignore[misc]
            what = f"{amount:,} rows in each table, {total:,} in all"
        else:
            with told.step(f"{amount:,} messages in {AWAY}.queue") as step:
                asyncio.run(full.wait(amount, step.advance))
            what = f"{amount:,} messages in {AWAY}.queue"
        with told.step(f"{pairs} pairs of {orders:,} orders") as step:
            return asyncio.run(
                compare(
                    what,
                    empty,
                    full,
                    pairs=pairs,
                    orders=orders,
                    connections=connections,
                    seed=seed,
                    on_progress=step.advance,
                )
            )


def _show(comparison: Comparison) -> None:
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
    most = sorted(comparison.read_through.items(), key=lambda each: -each[1])[:5]
    read = ", ".join(f"{rows:.0f} of {table}" for table, rows in most)
    report.out.print(f"  rows read without an index, for an order, on the full side: {read}")
    rates = [f"{pair.empty.rate:.0f} and {pair.full.rate:.0f}" for pair in comparison.pairs]
    report.out.print(f"  orders a second, empty and full: {'; '.join(rates)}")
