"""ParkedMessage messages on the screen: lists of them, and one in full."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from rich.table import Table

from services.shared.chassis.text import printable
from warren.cli.message_detail import message_detail, message_summary, pretty
from warren.cli.parked_search import ParkedSearch
from warren.cli.screen import TableRow, err, out, print_json, safe_markup, table
from warren.cli.time_args import age
from warren.errors import ClientError
from warren_messaging.dead_letters.parked_message import FailureRecord, ParkedMessage
from warren_messaging.dead_letters.parking_lot import WINDOW, ParkingLot, parking_lot
from warren_messaging.errors import AccessRefused, TopologyMissing


async def for_each_lot(wanted: ParkedSearch, work: Callable[[ParkingLot], Awaitable[None]]) -> None:
    """Do `work` with each lot that is looked through, one open at a time.

    One that the broker lacks, or that our user may not read, is a mistake only if it was named. Raises ClientError for
    it, and if there is none at all.
    """
    opened = 0
    for name in wanted.lots:
        async with AsyncExitStack() as stack:
            try:
                lot = await stack.enter_async_context(parking_lot(wanted.address, name))
            except TopologyMissing as error:
                if wanted.named:
                    raise ClientError(f"{wanted.address.url} has no queue {name!r}") from error
                continue
            except AccessRefused as error:
                if wanted.named:
                    raise
                err.print(f"{safe_markup(name)} is left out: {safe_markup(error)}", style="yellow")
                continue
            opened += 1
            await work(lot)
    if not opened:
        raise ClientError(f"no parking lot at {wanted.address.url} that can be read: is it the vhost you mean?")


async def print_list(wanted: ParkedSearch, *, limit: int, as_json: bool = False) -> int:
    """Print at most `limit` messages of each lot (0: all); returns how many match altogether.

    Without a filter only those are looked at, since the lots' depths are the counts.
    """
    empty: list[str] = []
    total = 0

    async def look(lot: ParkingLot) -> None:
        nonlocal total
        depth = await lot.depth()
        most = min(depth, limit) if limit and not wanted.filters else depth
        table: list[dict[str, Any]] = []
        count = 0
        async for window in lot.windows(most, size=min(WINDOW, most)):
            found = await wanted.found(window)
            count += len(found)
            visible = found[: limit - len(table)] if limit else found
            table.extend(message_summary(*pair) | {"age": age(pair[0].parked_at)} for pair in visible)
        count = max(count, depth) if not wanted.filters else count
        total += count
        if as_json:
            for row in table:
                print_json(row)
        elif count:
            _print_lot(lot.name, depth, count, table)
        else:
            empty.append(lot.name)

    await for_each_lot(wanted, look)
    if empty and not as_json:
        out.print(f"{'no such message' if wanted.filters else 'nothing'} in {', '.join(empty)}", style="dim")
    return total


def print_message(parked: ParkedMessage, failure: FailureRecord | None) -> None:
    """Everything that is known of one message."""
    document = message_detail(parked, failure)
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    facts: list[tuple[str, Any]] = [(name, document[name]) for name in ("queue", "id", "type", "order", "reason")]
    facts += [("parked", f"{document['parked_at'] or 'at an unknown time'}, {age(parked.parked_at)} ago")]
    facts += [("replays into", parked.home or "the queue that you name with --to"), ("replays", parked.replays)]
    if failure is not None:
        facts += [("attempts", f"{failure.attempts}, first {failure.first_at:%F %T}, last {failure.last_at:%F %T} UTC")]
        facts += [("on record as", f"{failure.state}, under {failure.key}")]
    facts += [("routing key", parked.routing_key), ("body hash", parked.body_hash)]
    facts += [(f"property {name}", value) for name, value in document["properties"].items()]
    facts += [(f"header {name}", value) for name, value in document["headers"].items()]
    facts += [("undecodable", f"{name}: {reason}") for name, reason in parked.undecodable.items()]
    for name, value in facts:
        table.add_row(name, "" if value is None else safe_markup(value))
    out.print(table)
    body = printable(pretty(parked.body), keep="\n\t")
    out.print(f"\n{body}\n", markup=False, soft_wrap=True)


def _print_lot(name: str, depth: int, count: int, found: list[dict[str, Any]]) -> None:
    amount = f"{depth:,}" if count == depth else f"{count:,} of {depth:,}"
    out.print(f"[bold]{safe_markup(name)}[/bold]  {amount} message{'' if count == 1 else 's'}")
    lines = []
    for row in found:
        attempts = "?" if row["attempts"] is None else row["attempts"]
        again = f" (replayed {row['replays']}x)" if row["replays"] else ""
        cells = (row["id"], row["age"], row["type"] or "?", row["order"] or "?", attempts)
        broken = f" (cannot be decoded: {', '.join(row['undecodable'])})" if row["undecodable"] else ""
        lines.append(TableRow(cells, below=f"{row['reason']}{again}{broken}"))
    out.print(table(("id", "age", "type", "order", "attempts"), lines, indent="  "), soft_wrap=True)
    if count > len(found):
        out.print(f"  … and {count - len(found):,} more (--limit 0 shows all)", style="dim")
