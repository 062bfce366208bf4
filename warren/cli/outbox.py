"""`warren outbox`: committed events that the broker has not confirmed yet."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from warren.cli.access import DatabaseAccess
from warren.cli.arguments import Json

if TYPE_CHECKING:
    from rich.text import Text

    from warren.cli.failure_store import OutboxBacklog

POLL_SECONDS = 1.0


def outbox(
    services: Annotated[tuple[str, ...], Parameter(help="The services; default: all.")] = (),
    /,
    *,
    follow: Annotated[bool, Parameter(negative="", help="Repeat every second, until Ctrl-C.")] = False,
    as_json: Json = False,
    database: DatabaseAccess | None = None,
) -> None:
    """Show how many events of each service wait to be published: normally none, or only for a moment.

    `leased` events are being published by a process now. `failed` events were tried without success and are retried at
    growing intervals, at least once a minute; the last error tells why: `no queue took it` means a missing binding.

    Try:

        warren outbox
        warren outbox order payment --follow
    """
    import asyncio

    import msgspec

    from warren.cli.failure_store import failure_store
    from warren.cli.screen import out, print_json

    async def run() -> None:
        async with failure_store((database or DatabaseAccess()).address()) as store:
            live = None
            if follow and out.is_terminal and not as_json:
                from rich.live import Live

                live = Live(console=out, auto_refresh=False)
            with live or nullcontext():
                while True:
                    found = await store.outboxes(services)
                    if as_json:
                        for backlog in found:
                            print_json(msgspec.to_builtins(backlog))
                    elif live is not None:
                        live.update(_table(found), refresh=True)
                    else:
                        out.print(_table(found), soft_wrap=True)
                    if not follow:
                        return
                    await asyncio.sleep(POLL_SECONDS)

    asyncio.run(run())


def _table(found: list[OutboxBacklog]) -> Text:
    from warren.cli.screen import TableRow, age, table

    rows = []
    for each in found:
        leased, failed = (f"{count:,}" if count else "" for count in (each.leased, each.failed))
        oldest = age(each.oldest) if each.oldest else ""
        cells = (each.service, f"{each.waiting:,}", leased, failed, oldest, each.attempts or "")
        rows.append(TableRow(cells, "yellow" if each.failed else "", (each.last_error or "",)))
    return table(("service", "waiting", "leased", "failed", "oldest", "attempts"), rows)
