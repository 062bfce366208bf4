"""The work of the `warren schedule` commands."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from uuid import UUID

import msgspec

from services.shared.chassis.text import printable
from warren.cli.access import DatabaseAccess
from warren.cli.schedule_filters import ScheduleFilters
from warren.cli.schedule_store import Change, ScheduledRecord, ScheduleQuery, schedule_store
from warren.cli.screen import TableRow, duration, err, out, print_json, table
from warren.errors import ClientError

SHOWN = 20  # messages that a dry run or a change prints


def print_list(
    ids: Sequence[str],
    filters: ScheduleFilters,
    database: DatabaseAccess | None,
    *,
    limit: int | None,
    as_json: bool,
) -> None:
    query = _query(ids, filters, limit)
    address = (database or DatabaseAccess()).address()

    async def find() -> list[ScheduledRecord]:
        async with schedule_store(address) as store:
            return await store.find(query)

    _print(asyncio.run(find()), as_json=as_json)


def change(
    verb: Change,
    ids: Sequence[str],
    filters: ScheduleFilters,
    database: DatabaseAccess | None,
    everything: bool,
    limit: int | None,
    *,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Change the matching messages and print them. Returns 1 if one of `ids` was not scheduled any more."""
    if not ids and filters == ScheduleFilters() and not everything:
        raise ClientError("select messages: by their ids, with a filter such as --type, or --all (see --help)")
    query = _query(ids, filters, limit)
    address = (database or DatabaseAccess()).address()

    async def run() -> tuple[list[ScheduledRecord], set[UUID]]:
        async with schedule_store(address) as store:
            found = await store.find(query)
            return found, set() if dry_run else await store.change(verb, found)

    found, changed = asyncio.run(run())
    done = found if dry_run else [message for message in found if message.id in changed]
    if as_json:
        _print(done, as_json=True)
    else:
        if done:
            _print(done[:SHOWN], as_json=False)
        more = f", of which {SHOWN} are shown" if len(done) > SHOWN else ""
        out.print(f"{'would be ' if dry_run else ''}{verb}: {len(done):,}{more}")
    missing = [str(each) for each in query.ids or () if each not in {message.id for message in done}]
    for each in missing:
        err.print(f"[yellow]not scheduled:[/yellow] {each}")
    return 1 if missing else 0


def _query(ids: Sequence[str], filters: ScheduleFilters, limit: int | None) -> ScheduleQuery:
    return ScheduleQuery(
        services=filters.service,
        ids=[_uuid(each) for each in ids] or None,
        due_before=filters.due_before(),
        order=filters.order,
        type=filters.type,
        limit=limit,
    )


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise ClientError(
            f"{printable(text)!r} is not the id of a scheduled message; see `warren schedule list`"
        ) from error


def _print(messages: Iterable[ScheduledRecord], *, as_json: bool) -> None:
    if as_json:
        for message in messages:
            print_json(msgspec.to_builtins(message))
        return
    rows = [TableRow(_cells(each), "yellow" if each.seconds <= 0 else "") for each in messages]
    if not rows:
        out.print("no matching scheduled message")
        return
    out.print(table(("due", "service", "type", "order", "id"), rows, flexible=(2, 3)), soft_wrap=True)


def _cells(message: ScheduledRecord) -> tuple[object, ...]:
    due = f"in {duration(message.seconds)}" if message.seconds > 0 else f"{duration(-message.seconds)} overdue"
    reference = message.event.get("reference") if isinstance(message.event, dict) else None
    return due, message.service, message.event_type, reference or message.subject, message.id
