"""Parked messages on the screen: lists of them, and one in full."""

import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.shared.messaging.errors import TopologyMissing
from services.shared.messaging.parked import Failure, Parked
from services.shared.messaging.parkinglot import WINDOW, ParkingLot, parking_lot
from warren.cli.dossier import dossier, emit, pretty, summary
from warren.cli.moment import age
from warren.cli.search import Search

_out = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
_err = Console(stderr=True, highlight=False, soft_wrap=True)


async def each_lot(wanted: Search, work: Callable[[ParkingLot], Awaitable[None]]) -> None:
    """Do `work` with each lot that is looked through, one open at a time.

    One that the broker lacks is a mistake only if it was named: raises TopologyMissing then.
    """
    for name in wanted.lots:
        async with AsyncExitStack() as stack:
            try:
                lot = await stack.enter_async_context(parking_lot(wanted.address, name))
            except TopologyMissing:
                if wanted.named:
                    raise
                _err.print(f"this broker has no {name}", style="yellow")
                continue
            await work(lot)


async def print_list(wanted: Search, *, limit: int, as_json: bool = False) -> int:
    """Print at most `limit` messages of each lot (0: all); returns how many match altogether.

    Without a filter only those are looked at, since the lots' depths are the counts.
    """
    empty: list[str] = []
    total = 0

    async def look(lot: ParkingLot) -> None:
        nonlocal total
        depth = await lot.depth()
        most = min(depth, limit) if limit and not wanted.filters else depth
        rows: list[dict[str, Any]] = []
        count = 0
        async for window in lot.windows(most, size=min(WINDOW, most)):
            found = await wanted.found(window)
            count += len(found)
            shown = found[: limit - len(rows)] if limit else found
            rows.extend(summary(*pair) | {"age": age(pair[0].parked_at)} for pair in shown)
        count = max(count, depth) if not wanted.filters else count
        total += count
        if as_json:
            for row in rows:
                emit(row)
        elif count:
            _print_lot(lot.name, depth, count, rows)
        else:
            empty.append(lot.name)

    await each_lot(wanted, look)
    if empty and not as_json:
        _out.print(f"{'no such message' if wanted.filters else 'nothing'} in {', '.join(empty)}", style="dim")
    return total


def print_message(parked: Parked, failure: Failure | None) -> None:
    """Everything that is known of one message."""
    document = dossier(parked, failure)
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    rows: list[tuple[str, Any]] = [(name, document[name]) for name in ("queue", "id", "type", "order", "reason")]
    rows += [("parked", f"{document['parked_at'] or 'at an unknown time'}, {age(parked.parked_at)} ago")]
    rows += [("replays into", parked.home or "the queue that you name with --to"), ("replays", parked.replays)]
    if failure is not None:
        rows += [("attempts", f"{failure.attempts}, first {failure.first_at:%F %T}, last {failure.last_at:%F %T} UTC")]
        rows += [("on record as", f"{failure.state}, under {failure.key}")]
    rows += [("routing key", parked.routing_key), ("body hash", parked.body_hash)]
    rows += [(f"property {name}", value) for name, value in document["properties"].items()]
    rows += [(f"header {name}", value) for name, value in document["headers"].items()]
    for name, value in rows:
        table.add_row(name, "" if value is None else _plain(str(value)))
    _out.print(table)
    _out.print(f"\n{_readable(pretty(parked.body))}\n", markup=False, soft_wrap=True)


def _print_lot(name: str, depth: int, count: int, rows: list[dict[str, Any]]) -> None:
    amount = f"{depth:,}" if count == depth else f"{count:,} of {depth:,}"
    _out.print(f"[bold]{name}[/bold]  {amount} message{'' if count == 1 else 's'}")
    lines = [("id", "age", "type", "order", "attempts")]
    for row in rows:
        attempts = "?" if row["attempts"] is None else str(row["attempts"])
        texts = (row["id"], row["age"], row["type"] or "?", row["order"] or "?", attempts)
        lines.append(tuple(_readable(text).replace("\n", " ") for text in texts))  # type: ignore[arg-type]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for number, texts in enumerate(lines):
        line = "  ".join(text.ljust(width) for text, width in zip(texts, widths, strict=True)).rstrip()
        _out.print(f"  {line}", style=None if number else "dim", markup=False, soft_wrap=True)
        if number:
            row = rows[number - 1]
            again = f" (replayed {row['replays']}x)" if row["replays"] else ""
            # Below the rest: on a usual terminal there is no room beside an id.
            _out.print(f"      {_readable(row['reason'])}{again}", style="yellow", markup=False, soft_wrap=True)
    if count > len(rows):
        _out.print(f"  … and {count - len(rows):,} more (--limit 0 shows all)", style="dim")


def _plain(text: str) -> str:
    """What a stranger wrote, as text for a table."""
    return escape(_readable(text))


def _readable(text: str) -> str:
    """Without what could steer a terminal."""
    return "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)
