"""`warren failures`: deliveries that failed, from the services' own records."""

import asyncio
import sys
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.shared.messaging.parked import Failure
from warren.cli.access import DatabaseAccess
from warren.cli.moment import age, moment
from warren.cli.records import Wanted, records

COLOURS = {"parked": "red", "retrying": "yellow", "replayed": "cyan", "dropped": "dim"}

_out = Console(highlight=False, width=None if sys.stdout.isatty() else 200)


def failures(
    *,
    service: Annotated[list[str] | None, Parameter(negative="", help="May be repeated; all by default.")] = None,
    state: Annotated[
        Literal["retrying", "parked", "succeeded", "replayed", "dropped"] | None, Parameter(help="What became of it.")
    ] = None,
    since: Annotated[str | None, Parameter(help="Last failed then or later: 90s, 10m, 2h, 7d, or an ISO time.")] = None,
    until: Annotated[str | None, Parameter(help="Last failed before then; written like --since.")] = None,
    reason: Annotated[str | None, Parameter(help="Regular expression; capitals do not matter.")] = None,
    order: Annotated[UUID | None, Parameter(help="The order's id.")] = None,
    type: Annotated[str | None, Parameter(help="Event type, such as order.*")] = None,  # noqa: A002 - the option's name
    limit: Annotated[int, Parameter(help="At most so many; 0 shows all.")] = 50,
    as_json: Annotated[bool, Parameter(name="--json", negative="", help="One JSON document a line.")] = False,
    database: DatabaseAccess | None = None,
) -> None:
    """List deliveries that failed, the latest first: how often, why last, and what became of them.

    `retrying` waits in its queue for another try, `parked` lies in the parking lot, `succeeded` got through after
    all, `replayed` was put back with `warren dlq replay` and not heard of since, `dropped` was removed.

    Try:

        warren failures --state parked
        warren failures --service payment --since 1h --reason gateway
    """
    address = (database or DatabaseAccess()).address()
    wanted = Wanted(
        state=state,
        since=moment(since),
        until=moment(until),
        reason=reason,
        subject=order,
        type=type,
        limit=limit or None,
    )

    async def run() -> list[Failure]:
        async with records(address) as kept:
            return await kept.found(service or (), wanted)

    found = asyncio.run(run())
    if as_json:
        for failure in found:
            print(msgspec.json.encode(failure).decode())
    elif found:
        _out.print(_table(found))
    else:
        _out.print("no such failure on record")


def _table(found: list[Failure]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("service", "state", "last", "event"):
        table.add_column(column, no_wrap=True)
    table.add_column("attempts", justify="right")
    table.add_column("reason", overflow="fold")
    table.add_column("order", no_wrap=True)
    for each in found:
        colour = COLOURS.get(each.state)
        state = f"[{colour}]{each.state}[/{colour}]" if colour else each.state
        event, reason = escape(each.event_type or "?"), escape(each.reason)
        table.add_row(
            each.service, state, age(each.last_at), event, str(each.attempts), reason, str(each.subject or "?")
        )
    return table
