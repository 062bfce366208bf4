"""`warren dlq …`: look into parking lots, replay from them, drop from them."""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console
from rich.markup import escape

from services.shared.messaging import deadletter
from services.shared.messaging.deadletter import UNROUTED, Tally
from services.shared.messaging.parked import Parked
from services.shared.messaging.parkinglot import ParkingLot
from warren.cli.access import BrokerAccess, DatabaseAccess, parking_lots
from warren.cli.dossier import dossier, emit
from warren.cli.dropped import DroppedFile
from warren.cli.look import each_lot, print_list, print_message
from warren.cli.search import Filters, search
from warren.client import ClientError
from warren.local.report import ConsoleReport, Step

app = App(
    name="dlq",
    help="""Parking lots: what could not be processed, why, and what is to become of it.

    A message that failed for good, or too often, lies in its service's parking lot (inventory.dlq); an event that no
    service binds lies in unrouted.queue. Nothing leaves by itself. Every command may be interrupted and run again.

    Try:

        warren dlq list                                 # what is parked, and why
        warren dlq show 0192f3c4                        # one message in full
        warren dlq replay --queue payment --reason gateway --since 2h --dry-run
        warren dlq replay --all                         # each to its own queue
        warren dlq replay --queue unrouted --to fraud.queue
        warren dlq drop --id 0192f3c4
    """,
)

Json = Annotated[bool, Parameter(name="--json", negative="", help="One JSON document a line, for programs.")]
DryRun = Annotated[bool, Parameter(negative="", help="Only show what would be done.")]
All = Annotated[bool, Parameter(name="--all", negative="", help="Really all messages: no filter is meant.")]

SHOWN = 20  # messages of a lot, unless --limit says otherwise

_out = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
_err = Console(stderr=True, highlight=False, soft_wrap=True)


@app.command(name="list")
def list_(
    *,
    filters: Filters | None = None,
    limit: Annotated[int, Parameter(help="Messages to show of each lot, oldest first; 0 shows all.")] = SHOWN,
    as_json: Json = False,
    broker: BrokerAccess | None = None,
    database: DatabaseAccess | None = None,
) -> None:
    """List what is parked: how old, which event, about which order, why, after how many attempts.

    Looking changes nothing: every message goes back to its place.

    Try:

        warren dlq list
        warren dlq list --queue inventory --type 'order.*' --since 1d --limit 0
        warren dlq list --limit 0 --json | jq -r .reason | sort | uniq -c
    """
    access = broker or BrokerAccess(), database or DatabaseAccess()
    asyncio.run(_listed(filters or Filters(), *access, limit=limit, as_json=as_json))


@app.command
def show(
    identity: Annotated[str, Parameter(name="ID", help="Event id, message id or body hash, or how it begins.")],
    /,
    *,
    queue: Annotated[list[str] | None, Parameter(negative="", help="Where to look; everywhere by default.")] = None,
    as_json: Json = False,
    broker: BrokerAccess | None = None,
    database: DatabaseAccess | None = None,
) -> None:
    """Show one message in full: properties, headers, body, and the record of its failure.

    Try:

        warren dlq show 0192f3c4 --queue inventory
    """
    filters = Filters(queue=queue or [], id=identity)

    shown = 0

    async def run() -> None:
        async with search(broker or BrokerAccess(), database or DatabaseAccess(), filters) as wanted:

            async def look(lot: ParkingLot) -> None:
                nonlocal shown
                async for window in lot.windows(await lot.depth()):
                    for message, failure in await wanted.found(window):
                        shown += 1
                        if as_json:
                            emit(dossier(message, failure))
                        else:
                            print_message(message, failure)

            await each_lot(wanted, look)

    asyncio.run(run())
    if not shown:
        raise ClientError(f"nothing that is parked has an id that begins with {identity!r}")


@app.command
def replay(
    *,
    filters: Filters | None = None,
    everything: All = False,
    to: Annotated[
        list[str] | None,
        Parameter(negative="", help="Only for unrouted events: the queue to put them into. May be repeated."),
    ] = None,
    limit: Annotated[int | None, Parameter(help="At most so many messages, oldest first.")] = None,
    dry_run: DryRun = False,
    broker: BrokerAccess | None = None,
    database: DatabaseAccess | None = None,
) -> int:
    """Put messages back into the one queue that gave them up.

    A message leaves the parking lot only after its queue has confirmed it; interrupted and run again, it may be
    delivered twice, which its consumer notices, and is never lost. Taken is at most what is parked at the beginning,
    each message once: one that fails again is parked again, with its attempts counted from one. One that no queue
    takes stays, and so does one that claims to come from another service than it did. Exit code 1 if any stays.

    Try:

        warren dlq replay --queue payment --since 2h --dry-run
        warren dlq replay --reason 'took too long' --limit 100
        warren dlq replay --queue unrouted --type order.created --to fraud.queue
    """
    chosen = filters or Filters()
    if to and not chosen.queue:
        chosen = replace(chosen, queue=[UNROUTED])
    _require_choice(chosen, everything)
    if to and set(chosen.lots) != {UNROUTED}:
        raise ClientError("--to is for --queue unrouted: what a queue gave up goes back to that queue and no other")
    access = broker or BrokerAccess(), database or DatabaseAccess()
    if not to and not chosen.queue:
        chosen = replace(chosen, queue=[name for name in parking_lots() if name != UNROUTED])
    if dry_run:
        asyncio.run(_listed(chosen, *access, limit=SHOWN))
        _say_limit(limit)
        return 0
    total = Tally(reasons={})

    async def run() -> None:
        async with search(*access, chosen) as wanted:

            async def empty(lot: ParkingLot) -> None:
                left = None if limit is None else limit - total.replayed - total.left
                if left == 0 or not (depth := await lot.depth()):
                    return
                with ConsoleReport().step(f"Replaying from {lot.name}") as step:
                    found = await deadletter.replay(
                        wanted.address,
                        lot,
                        wanted.choose,
                        to=to or (),
                        limit=left,
                        before=lambda them: wanted.mark(them, "replayed", ("parked", "retrying", "dropped")),
                        undo=lambda them: wanted.mark(them, "parked", ("replayed",)),
                        progress=_Progress(step, depth),
                    )
                total.add(found)

            await each_lot(wanted, empty)

    asyncio.run(run())
    _out.print(f"replayed {total.replayed:,} of {total.seen:,} looked at")
    for why, count in total.reasons.items():
        _err.print(f"[yellow]{count:,} stay parked:[/yellow] {escape(why)}")
    return 1 if total.left else 0


@app.command
def drop(
    *,
    filters: Filters | None = None,
    everything: All = False,
    limit: Annotated[int | None, Parameter(help="At most so many messages, oldest first.")] = None,
    record: Annotated[
        Path | None, Parameter(help="Where to write what is dropped; appended to. Default: a new file here.")
    ] = None,
    yes: Annotated[bool, Parameter(negative="", help="Do not ask.")] = False,
    dry_run: DryRun = False,
    broker: BrokerAccess | None = None,
    database: DatabaseAccess | None = None,
) -> int:
    """Remove messages for good, after writing each in full to a file of JSON lines.

    Try:

        warren dlq drop --id 0192f3c4
        warren dlq drop --queue email --reason expired --until 7d --record old.jsonl
    """
    chosen = filters or Filters()
    _require_choice(chosen, everything)
    access = broker or BrokerAccess(), database or DatabaseAccess()
    if dry_run or not yes:
        if not dry_run and not sys.stdin.isatty():
            raise ClientError("drop asks before it removes anything; where nobody can answer, give --yes")
        matching = asyncio.run(_listed(chosen, *access, limit=SHOWN))
        _say_limit(limit)
        if not matching or dry_run:
            return 0
        if _out.input("Drop them for good? Type yes: ").strip().lower() != "yes":
            _out.print("nothing was dropped")
            return 1

    total = 0
    file = DroppedFile(record)

    async def run() -> None:
        async with search(*access, chosen) as wanted:

            async def keep(messages: list[Parked]) -> None:
                file.write([dossier(*pair) for pair in await wanted.found(messages)])
                await wanted.mark(messages, "dropped", ("parked", "retrying", "replayed"))

            async def empty(lot: ParkingLot) -> None:
                nonlocal total
                left = None if limit is None else limit - total
                if left == 0 or not (depth := await lot.depth()):
                    return
                with ConsoleReport().step(f"Dropping from {lot.name}") as step:
                    progress = _Progress(step, depth)
                    total += await deadletter.drop(lot, wanted.choose, keep, limit=left, progress=progress)

            await each_lot(wanted, empty)

    with file:
        asyncio.run(run())
    _out.print(f"dropped {total:,}" + (f", written to {file.path}" if total else ""), markup=False)
    return 0


async def _listed(
    filters: Filters, broker: BrokerAccess, database: DatabaseAccess, *, limit: int, as_json: bool = False
) -> int:
    async with search(broker, database, filters) as wanted:
        return await print_list(wanted, limit=limit, as_json=as_json)


def _say_limit(limit: int | None) -> None:
    if limit is not None:
        _out.print(f"of these at most {limit:,}, the oldest of the first queues")


def _require_choice(filters: Filters, everything: bool) -> None:
    if filters == Filters() and not everything:
        raise ClientError("say which messages: a filter such as --queue or --id, or --all (see --help)")


class _Progress:
    """Turns counts into the fraction of a step."""

    def __init__(self, step: Step, whole: int) -> None:
        self._step = step
        self._whole = whole
        self._done = 0

    def __call__(self, count: int) -> None:
        self._done += count
        self._step.advance(self._done / self._whole, f"{self._done:,} of {self._whole:,}")
