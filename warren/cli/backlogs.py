"""What `warren outbox` prints."""

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

import msgspec
from rich.text import Text

from warren.cli.failure_store import OutboxBacklog, failure_store
from warren.cli.screen import TableRow, out, print_json, table
from warren.cli.time_args import age
from warren_messaging.postgres.database import DatabaseAddress

if TYPE_CHECKING:
    from rich.live import Live

POLL_SECONDS = 1.0


def show(address: DatabaseAddress, services: Sequence[str], *, follow: bool, as_json: bool) -> None:
    """Once, or every second until Ctrl-C."""

    async def run() -> None:
        async with failure_store(address) as kept:
            with _live() if follow and out.is_terminal and not as_json else nullcontext() as live:
                while True:
                    found = await kept.outboxes(services)
                    if live is not None:
                        live.update(_lines(found), refresh=True)
                    else:
                        _print(found, as_json)
                    if not follow:
                        return
                    await asyncio.sleep(POLL_SECONDS)

    asyncio.run(run())


def _live() -> "Live":
    from rich.live import Live

    return Live(console=out, auto_refresh=False)


def _print(found: list[OutboxBacklog], as_json: bool) -> None:
    if as_json:
        for backlog in found:
            print_json(msgspec.to_builtins(backlog))
    else:
        out.print(_lines(found), soft_wrap=True)


def _lines(found: list[OutboxBacklog]) -> Text:
    return table(
        ("service", "waiting", "leased", "failed", "oldest", "attempts"),
        [
            TableRow(
                (
                    each.service,
                    f"{each.waiting:,}",
                    f"{each.leased:,}" if each.leased else "",
                    f"{each.failed:,}" if each.failed else "",
                    age(each.oldest) if each.oldest else "",
                    each.attempts or "",
                ),
                "yellow" if each.failed else "",
                each.last_error or "",
            )
            for each in found
        ],
    )
