"""`warren failures`: failed deliveries, from the services' own tables."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from warren.cli.access import DatabaseAccess
from warren.cli.arguments import (
    EventType,
    FailedBefore,
    FailedSince,
    FailureReason,
    Json,
    ListLimit,
    OrderSubject,
    parse_time,
)

COLOURS = {"parked": "red", "retrying": "yellow", "replayed": "cyan", "dropped": "dim"}
FailureState = Literal["retrying", "parked", "succeeded", "replayed", "dropped"]


def failures(
    *,
    service: Annotated[list[str] | None, Parameter(negative="", help="May be repeated; default: all.")] = None,
    state: Annotated[FailureState | None, Parameter(help="The state of the failure.")] = None,
    since: FailedSince = None,
    until: FailedBefore = None,
    reason: FailureReason = None,
    order: OrderSubject = None,
    type: EventType = None,  # noqa: A002 - the option's name
    limit: ListLimit = 50,
    as_json: Json = False,
    database: DatabaseAccess | None = None,
) -> None:
    """List failed deliveries, latest first: attempts, last reason, and state.

    A `retrying` message waits in its queue for the next attempt, a `parked` one is in the parking lot, a `succeeded`
    one was processed later, a `replayed` one was put back with `warren dlq replay` and has not ended yet, a `dropped`
    one was removed.

    Try:

        warren failures --state parked
        warren failures --service payment --since 1h --reason gateway
    """
    import asyncio

    import msgspec

    from warren.cli.failure_store import FailureQuery, failure_store
    from warren.cli.screen import TableRow, age, out, print_json, table
    from warren_messaging.dead_letters.parked_message import FailureRecord

    query = FailureQuery(
        state=state,
        since=parse_time(since),
        until=parse_time(until),
        reason=reason,
        order=order,
        type=type,
        limit=limit or None,
    )
    address = (database or DatabaseAccess()).address()

    async def find() -> list[FailureRecord]:
        async with failure_store(address) as store:
            return await store.find(service or (), query)

    found = asyncio.run(find())
    if as_json:
        for failure in found:
            print_json(msgspec.to_builtins(failure))
        return
    if not found:
        out.print("no matching failure")
        return
    rows = []
    for each in found:
        cells = (
            each.service,
            each.state,
            age(each.last_at),
            each.event_type or "?",
            each.attempts,
            each.subject or "?",
        )
        rows.append(TableRow(cells, COLOURS.get(each.state, ""), (each.reason,)))
    heading = ("service", "state", "last", "event", "attempts", "order")
    out.print(table(heading, rows, flexible=(3,)), soft_wrap=True)
