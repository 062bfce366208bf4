"""What `warren failures` prints."""

import asyncio
from collections.abc import Sequence

import msgspec
from rich.text import Text

from warren.cli.failure_store import FailureQuery, failure_store
from warren.cli.screen import TableRow, out, print_json, table
from warren.cli.time_args import age
from warren_messaging.dead_letters.parked_message import FailureRecord
from warren_messaging.postgres.database import DatabaseAddress

COLOURS = {"parked": "red", "retrying": "yellow", "replayed": "cyan", "dropped": "dim"}


def print_list(address: DatabaseAddress, services: Sequence[str], wanted: FailureQuery, *, as_json: bool) -> None:
    async def run() -> list[FailureRecord]:
        async with failure_store(address) as kept:
            return await kept.found(services, wanted)

    found = asyncio.run(run())
    if as_json:
        for failure in found:
            print_json(msgspec.to_builtins(failure))
    elif found:
        out.print(_lines(found), soft_wrap=True)
    else:
        out.print("no such failure on record")


def _lines(found: list[FailureRecord]) -> Text:
    return table(
        ("service", "state", "last", "event", "attempts", "order"),
        [
            TableRow(
                (
                    each.service,
                    each.state,
                    age(each.last_at),
                    each.event_type or "?",
                    each.attempts,
                    each.subject or "?",
                ),
                COLOURS.get(each.state, ""),
                each.reason,
            )
            for each in found
        ],
        flexible=(3,),
    )
