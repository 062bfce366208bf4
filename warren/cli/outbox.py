"""`warren outbox`: events that are committed and have not reached the broker yet."""

import asyncio
import sys
from contextlib import nullcontext
from typing import Annotated

import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from warren.cli.access import DatabaseAccess
from warren.cli.moment import age
from warren.cli.records import Backlog, records

POLL_SECONDS = 1.0

_out = Console(highlight=False, width=None if sys.stdout.isatty() else 200)


def outbox(
    services: Annotated[tuple[str, ...], Parameter(help="Which services; all by default.")] = (),
    /,
    *,
    follow: Annotated[bool, Parameter(negative="", help="Show it anew every second, until Ctrl-C.")] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="", help="One JSON document a line.")] = False,
    database: DatabaseAccess | None = None,
) -> None:
    """Show, for each service, the events that wait to be published: normally none, or none for longer than a moment.

    `leased` are being published by a process at this moment. `failed` were tried and not taken, and are tried again
    ever more rarely, at least once a minute; the last error says why: `no queue took it` is a missing binding.

    Try:

        warren outbox
        warren outbox order payment --follow
    """
    address = (database or DatabaseAccess()).address()

    async def run() -> None:
        async with records(address) as kept:
            with Live(console=_out, auto_refresh=False) if follow and _live(as_json) else nullcontext() as live:
                while True:
                    found = await kept.outboxes(services)
                    if live is not None:
                        live.update(_table(found), refresh=True)
                    else:
                        _print(found, as_json)
                    if not follow:
                        return
                    await asyncio.sleep(POLL_SECONDS)

    asyncio.run(run())


def _live(as_json: bool) -> bool:
    return _out.is_terminal and not as_json


def _print(found: list[Backlog], as_json: bool) -> None:
    if as_json:
        for backlog in found:
            print(msgspec.json.encode(backlog).decode(), flush=True)
    else:
        _out.print(_table(found))


def _table(found: list[Backlog]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("service", no_wrap=True)
    for column in ("waiting", "leased", "failed", "oldest", "attempts"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("last error", overflow="fold")
    for each in found:
        numbers = [f"{number:,}" if number else "" for number in (each.leased, each.failed)]
        oldest = age(each.oldest) if each.oldest else ""
        attempts = str(each.attempts) if each.attempts else ""
        row = [each.service, f"{each.waiting:,}", *numbers, oldest, attempts, escape(each.last_error or "")]
        table.add_row(*row, style="yellow" if each.failed else None)
    return table
