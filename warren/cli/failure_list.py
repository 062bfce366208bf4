"""What `warren failures` prints."""

import asyncio
from collections.abc import Sequence

import msgspec
from rich.text import Text

from warren.cli.moment import age
from warren.cli.records import Wanted, records
from warren.cli.screen import Row, out, print_json, rows
from warren_messaging.dead_letters.parked import Failure
from warren_messaging.postgres.database import DatabaseAddress

COLOURS = {"parked": "red", "retrying": "yellow", "replayed": "cyan", "dropped": "dim"}


def print_list(address: DatabaseAddress, services: Sequence[str], wanted: Wanted, *, as_json: bool) -> None:
    async def run() -> list[Failure]:
        async with records(address) as kept:
            return await kept.found(services, wanted)

    found = asyncio.run(run())
    if as_json:
        for failure in found:
            print_json(msgspec.to_builtins(failure))
    elif found:
        out.print(_lines(found), soft_wrap=True)
    else:
        out.print("no such failure on record")


def _lines(found: list[Failure]) -> Text:
    return rows(
        ("service", "state", "last", "event", "attempts", "order"),
        [
            Row(
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
