"""`warren failures`: deliveries that failed, from the services' own records."""

from typing import Annotated, Literal

from cyclopts import Parameter

from warren.cli.access import DatabaseAccess
from warren.cli.options import Json, Limit


def failures(
    *,
    service: Annotated[list[str] | None, Parameter(negative="", help="May be repeated; all by default.")] = None,
    state: Annotated[
        Literal["retrying", "parked", "succeeded", "replayed", "dropped"] | None, Parameter(help="What became of it.")
    ] = None,
    since: Annotated[str | None, Parameter(help="Last failed then or later: 90s, 10m, 2h, 7d, or an ISO time.")] = None,
    until: Annotated[str | None, Parameter(help="Last failed before then; written like --since.")] = None,
    reason: Annotated[str | None, Parameter(help="Regular expression; capitals do not matter.")] = None,
    order: Annotated[str | None, Parameter(help="The customer's order number, or the order's id.")] = None,
    type: Annotated[str | None, Parameter(help="Event type, such as order.*")] = None,  # noqa: A002 - the option's name
    limit: Limit = 50,
    as_json: Json = False,
    database: DatabaseAccess | None = None,
) -> None:
    """List deliveries that failed, the latest first: how often, why last, and what became of them.

    `retrying` waits in its queue for another try, `parked` lies in the parking lot, `succeeded` got through after
    all, `replayed` was put back with `warren dlq replay` and not heard of since, `dropped` was removed.

    Try:

        warren failures --state parked
        warren failures --service payment --since 1h --reason gateway
    """
    from warren.cli import failure_list
    from warren.cli.failure_store import FailureQuery
    from warren.cli.time_args import parse_time

    wanted = FailureQuery(
        state=state,
        since=parse_time(since),
        until=parse_time(until),
        reason=reason,
        order=order,
        type=type,
        limit=limit or None,
    )
    failure_list.print_list((database or DatabaseAccess()).address(), service or (), wanted, as_json=as_json)
