"""`warren outbox`: events that are committed and have not reached the broker yet."""

from typing import Annotated

from cyclopts import Parameter

from warren.cli.access import DatabaseAccess
from warren.cli.options import Json


def outbox(
    services: Annotated[tuple[str, ...], Parameter(help="Which services; all by default.")] = (),
    /,
    *,
    follow: Annotated[bool, Parameter(negative="", help="Show it again every second, until Ctrl-C.")] = False,
    as_json: Json = False,
    database: DatabaseAccess | None = None,
) -> None:
    """Show, for each service, the events that wait to be published: normally none, or none for longer than a moment.

    `leased` are being published by a process at this moment. `failed` were tried and not taken, and are tried again
    ever more rarely, at least once a minute; the last error says why: `no queue took it` is a missing binding.

    Try:

        warren outbox
        warren outbox order payment --follow
    """
    from warren.cli import backlogs

    backlogs.show((database or DatabaseAccess()).address(), services, follow=follow, as_json=as_json)
