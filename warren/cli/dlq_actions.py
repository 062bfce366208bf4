"""The work of the `warren dlq` commands."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace as copy_with
from pathlib import Path
from typing import TYPE_CHECKING

from services.shared.chassis.text import printable
from warren.cli.access import BrokerAccess, DatabaseAccess
from warren.cli.dlq_view import for_each_lot, print_list, print_message
from warren.cli.filters import MessageFilters
from warren.cli.message_detail import message_detail
from warren.cli.parked_search import parked_search
from warren.cli.screen import err, out, print_json, safe_markup
from warren.errors import ClientError
from warren_messaging.dead_letters.parked_message import UNROUTED, ParkedMessage
from warren_messaging.dead_letters.parking_lot import ParkingLot

if TYPE_CHECKING:
    from warren.progress import ProgressStep

Access = tuple[BrokerAccess, DatabaseAccess]

SHOWN = 20  # messages of a lot, before a question or in a dry run


def print_matching(filters: MessageFilters, access: Access, *, limit: int, as_json: bool = False) -> int:
    """Print the matching messages; returns their number."""

    async def run() -> int:
        async with parked_search(*access, filters) as search:
            return await print_list(search, limit=limit, as_json=as_json)

    return asyncio.run(run())


def show(filters: MessageFilters, access: Access, *, as_json: bool) -> None:
    """Print the matching messages in full. Raises ClientError if none matches."""
    count = 0

    async def run() -> None:
        async with parked_search(*access, filters) as search:

            async def print_matches(lot: ParkingLot) -> None:
                nonlocal count
                async for window in lot.windows(await lot.depth()):
                    for message, failure in await search.match(window):
                        count += 1
                        if as_json:
                            print_json(message_detail(message, failure))
                        else:
                            print_message(message, failure)

            await for_each_lot(search, print_matches)

    asyncio.run(run())
    if not count:
        raise ClientError(f"no parked message has an id that begins with {filters.id!r}")


def replay(
    filters: MessageFilters,
    access: Access,
    *,
    everything: bool,
    to: Sequence[str],
    limit: int | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Replay the matching messages. Returns 1 if one of them stays parked."""
    from services.shared.chassis.tracing import exported
    from warren_messaging.dead_letters import actions

    if to and not filters.queue:
        filters = copy_with(filters, queue=[UNROUTED])
    _require_selection(filters, everything)
    if to and {name.removesuffix(".queue") for name in filters.queue} != {UNROUTED.removesuffix(".queue")}:
        raise ClientError("--to is for --queue unrouted: a parked message goes back to its own queue only")
    if dry_run:
        print_matching(filters, access, limit=SHOWN, as_json=as_json)
        _print_limit(limit, as_json)
        return 0
    total = actions.ReplaySummary(reasons={})

    async def run() -> None:
        async with parked_search(*access, filters) as search:

            async def replay_from(lot: ParkingLot) -> None:
                if lot.name == UNROUTED and not search.named:
                    return  # an unrouted message was in no queue: --to has to name one
                left = None if limit is None else limit - total.replayed - total.left
                if left == 0 or not (depth := await lot.depth()):
                    return
                with _step(f"Replaying from {lot.name}") as step:
                    found = await actions.replay(
                        search.address,
                        lot,
                        search.choose,
                        to=to,
                        limit=left,
                        before=lambda them: search.mark(them, "replayed", ("parked", "retrying", "dropped")),
                        undo=lambda them: search.mark(them, "parked", ("replayed",)),
                        progress=_StepCounter(step, depth),
                    )
                total.add(found)

            await for_each_lot(search, replay_from)

    with exported("warren"):
        asyncio.run(run())
    if as_json:
        print_json({"seen": total.seen, "replayed": total.replayed, "left": total.left, "reasons": total.reasons})
    else:
        out.print(f"replayed {total.replayed:,} of {total.seen:,} examined")
        for reason, count in total.reasons.items():
            err.print(f"[yellow]{count:,} stay parked:[/yellow] {safe_markup(reason)}")
    return 1 if total.left else 0


def drop(
    filters: MessageFilters,
    access: Access,
    *,
    everything: bool,
    limit: int | None,
    record: Path | None,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Remove the matching messages after writing them to a file, and after a question unless `yes`."""
    from warren.cli.drop_record import DropRecord
    from warren_messaging.dead_letters import actions

    _require_selection(filters, everything)
    file = DropRecord(record)
    if dry_run or not yes:
        if not dry_run and not sys.stdin.isatty():
            raise ClientError("drop asks before it removes messages; without a terminal to answer on, give --yes")
        count = print_matching(filters, access, limit=SHOWN, as_json=as_json)
        _print_limit(limit, as_json)
        if not count or dry_run:
            return 0
        question = f"Drop them permanently, with a copy in {safe_markup(file.path)}? Type yes: "
        if out.input(question).strip().lower() != "yes":
            out.print("nothing was dropped")
            return 1

    total = 0

    async def run() -> None:
        async with parked_search(*access, filters) as search:

            async def keep(messages: list[ParkedMessage]) -> None:
                file.write(message_detail(*pair) for pair in await search.match(messages))
                await search.mark(messages, "dropped", ("parked", "retrying", "replayed"))

            async def drop_from(lot: ParkingLot) -> None:
                nonlocal total
                left = None if limit is None else limit - total
                if left == 0 or not (depth := await lot.depth()):
                    return
                with _step(f"Dropping from {lot.name}") as step:
                    counter = _StepCounter(step, depth)
                    total += await actions.drop(lot, search.choose, keep, limit=left, progress=counter)

            await for_each_lot(search, drop_from)

    with file:
        asyncio.run(run())
    if as_json:
        print_json({"dropped": total, "record": str(file.path) if total else None})
    else:
        out.print(f"dropped {total:,}" + (f", written to {file.path}" if total else ""), markup=False, soft_wrap=True)
    return 0


def _step(text: str) -> AbstractContextManager[ProgressStep]:
    from warren.progress import ProgressReport

    return ProgressReport().step(printable(text))


def _print_limit(limit: int | None, as_json: bool) -> None:
    if limit is not None and not as_json:
        out.print(f"of these at most {limit:,}, the oldest of the first queues")


def _require_selection(filters: MessageFilters, everything: bool) -> None:
    if filters == MessageFilters() and not everything:
        raise ClientError("select messages: with a filter such as --queue or --id, or --all (see --help)")


class _StepCounter:
    """Adds up counts and shows them as the fraction of a step."""

    def __init__(self, step: ProgressStep, whole: int) -> None:
        self._step = step
        self._whole = whole
        self._done = 0

    def __call__(self, count: int) -> None:
        self._done += count
        self._step.advance(self._done / self._whole, f"{self._done:,} of {self._whole:,}")
