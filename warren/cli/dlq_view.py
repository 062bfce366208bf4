"""Shows parked messages: lists of them, and one in full."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from services.shared.chassis.text import printable
from warren.cli.message_detail import message_detail, message_summary, pretty
from warren.cli.parked_search import ParkedSearch
from warren.cli.screen import TableRow, age, err, out, print_json, safe_markup, table
from warren.errors import ClientError
from warren_messaging.dead_letters.parked_message import FailureRecord, ParkedMessage
from warren_messaging.dead_letters.parking_lot import WINDOW, ParkingLot, parking_lot
from warren_messaging.errors import AccessRefused, TopologyMissing


async def for_each_lot(search: ParkedSearch, work: Callable[[ParkingLot], Awaitable[None]]) -> None:
    """Call `work` with each parking lot of the search, one open at a time.

    A lot that is missing or may not be read is an error only if an option names it. Raises ClientError for such a lot,
    and if no lot can be read.
    """
    opened = 0
    for name in search.lots:
        async with AsyncExitStack() as stack:
            try:
                lot = await stack.enter_async_context(parking_lot(search.address, name))
            except TopologyMissing as error:
                if search.named:
                    raise ClientError(f"{search.address.location} has no queue {name!r}") from error
                continue
            except AccessRefused as error:
                if search.named:
                    raise
                err.print(f"skipped {safe_markup(name)}: {safe_markup(error)}", style="yellow")
                continue
            opened += 1
            await work(lot)
    if not opened:
        raise ClientError(f"no parking lot at {search.address.location} can be read: is it the right vhost?")


async def print_list(search: ParkedSearch, *, limit: int, as_json: bool = False) -> int:
    """Print at most `limit` messages of each lot (0: all); returns how many match altogether.

    Without filters it reads only those, and counts by the depths of the lots.
    """
    empty: list[str] = []
    total = 0

    async def show(lot: ParkingLot) -> None:
        nonlocal total
        depth = await lot.depth()
        read = min(depth, limit) if limit and not search.filters else depth
        summaries: list[dict[str, Any]] = []
        count = 0
        async for window in lot.windows(read, size=min(WINDOW, read)):
            found = await search.match(window)
            count += len(found)
            visible = found[: limit - len(summaries)] if limit else found
            summaries.extend(message_summary(*pair) | {"age": age(pair[0].parked_at)} for pair in visible)
        count = count if search.filters else max(count, depth)
        total += count
        if as_json:
            for summary in summaries:
                print_json(summary)
        elif count:
            _print_lot(lot.name, depth, count, summaries)
        else:
            empty.append(lot.name)

    await for_each_lot(search, show)
    if empty and not as_json:
        out.print(f"{'no matching message' if search.filters else 'nothing'} in {', '.join(empty)}", style="dim")
    return total


def print_message(parked: ParkedMessage, failure: FailureRecord | None) -> None:
    """Print everything that is known about one message."""
    from rich.table import Table

    document = message_detail(parked, failure)
    grid = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    facts: list[tuple[str, Any]] = [(name, document[name]) for name in ("queue", "id", "type", "order", "reason")]
    facts += [("parked", f"{document['parked_at'] or 'at an unknown time'}, {age(parked.parked_at)} ago")]
    facts += [("replays into", parked.home or "the queue that --to names"), ("replays", parked.replays)]
    if failure is not None:
        facts += [("attempts", f"{failure.attempts}, first {failure.first_at:%F %T}, last {failure.last_at:%F %T} UTC")]
        facts += [("recorded as", f"{failure.state}, under {failure.key}")]
    facts += [("routing key", parked.routing_key), ("body hash", parked.body_hash)]
    facts += [(f"property {name}", value) for name, value in document["properties"].items()]
    facts += [(f"header {name}", value) for name, value in document["headers"].items()]
    facts += [("undecodable", f"{name}: {reason}") for name, reason in parked.undecodable.items()]
    for name, value in facts:
        grid.add_row(name, "" if value is None else safe_markup(value))
    out.print(grid)
    body = printable(pretty(parked.body), keep="\n\t")
    out.print(f"\n{body}\n", markup=False, soft_wrap=True)


def _print_lot(name: str, depth: int, count: int, summaries: list[dict[str, Any]]) -> None:
    amount = f"{depth:,}" if count == depth else f"{count:,} of {depth:,}"
    out.print(f"[bold]{safe_markup(name)}[/bold]  {amount} message{'' if count == 1 else 's'}")
    rows = []
    for each in summaries:
        attempts = "?" if each["attempts"] is None else each["attempts"]
        replays = f" (replayed {each['replays']}x)" if each["replays"] else ""
        undecodable = f" (cannot be decoded: {', '.join(each['undecodable'])})" if each["undecodable"] else ""
        cells = (each["id"], each["age"], each["type"] or "?", each["order"] or "?", attempts)
        rows.append(TableRow(cells, below=(f"{each['reason']}{replays}{undecodable}",)))
    out.print(table(("id", "age", "type", "order", "attempts"), rows, indent="  "), soft_wrap=True)
    if count > len(summaries):
        out.print(f"  … and {count - len(summaries):,} more (--limit 0 shows all)", style="dim")
