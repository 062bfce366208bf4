"""The HTTP API of the audit service. It is read-only."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from litestar import Router, get
from litestar.params import PathParameter, QueryParameter
from litestar.types import ControllerRouterHandler, Guard

from services.audit.domain import SequenceGap
from services.audit.queries import (
    CURSOR_LENGTH,
    AuditQueries,
    EventFilter,
    LoggedEvent,
    OrderHistory,
    from_cursor,
    to_cursor,
)
from services.shared.chassis.http.problems import ProblemException, problem_responses
from services.shared.contracts.values import SINGLE_LINE

MAX_PER_PAGE = 1000
FORBIDDEN = "the token is not a staff token"
FILTER_PROBLEMS = problem_responses({400: "a parameter cannot be read; `detail` names it", 403: FORBIDDEN})

NameFilter = Annotated[str | None, QueryParameter(max_length=200, pattern=SINGLE_LINE)]
Timestamp = Annotated[
    str | None,
    QueryParameter(
        max_length=40,
        pattern=r"^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)?$(?!\n)",
        description="a time of ISO 8601 such as 2026-01-31T12:00:00Z; without an offset it is UTC",
    ),
]
Limit = Annotated[int, QueryParameter(ge=1, le=MAX_PER_PAGE)]


class EventPage(msgspec.Struct, frozen=True, rename="camel"):
    """Events by time. `cursor` requests the next page; null on the last."""

    events: list[LoggedEvent]
    cursor: str | None


class GapPage(msgspec.Struct, frozen=True, rename="camel"):
    """Missing sequence numbers. `more`: there are further ones beyond `limit`."""

    gaps: list[SequenceGap]
    more: bool


def routes(queries: AuditQueries, guard: Guard) -> list[ControllerRouterHandler]:
    @get(
        "/orders/{order:str}",
        summary="The history of one order",
        description="All events of the order by time, missing sequence numbers, and contradicting events. `order` is"
        " its id or the customer's reference (`orderId`).",
        responses=problem_responses(
            {
                403: FORBIDDEN,
                404: "the log has no event of this order",
                409: "several customers have an order with this reference; `orders` has their ids",
            }
        ),
    )
    async def history(order: Annotated[str, PathParameter(max_length=100, pattern=SINGLE_LINE)]) -> OrderHistory:
        with suppress(ValueError):  # not a UUID
            if (found := await queries.history(UUID(order))).events or found.contradictions:
                return found
        order_ids = await queries.order_ids(order)
        if not order_ids:
            raise ProblemException(404, "Unknown order", f"The log has no order with the id or reference {order!r}.")
        if len(order_ids) > 1:
            detail = f"{len(order_ids)} orders have the reference {order!r}. Ask by id."
            raise ProblemException(409, "Several orders", detail, orders=[str(order_id) for order_id in order_ids])
        return await queries.history(order_ids[0])

    @get(
        "/events",
        summary="Events by time",
        description="Newest first, unless `order` is `oldest`. Filters combine; `since` is inclusive, `until`"
        " exclusive.",
        responses=FILTER_PROBLEMS,
    )
    async def events(
        type: NameFilter = None,  # noqa: A002 - the name of the query parameter
        source: NameFilter = None,
        since: Timestamp = None,
        until: Timestamp = None,
        limit: Limit = 100,
        cursor: Annotated[
            str | None,
            QueryParameter(
                max_length=CURSOR_LENGTH,
                pattern=SINGLE_LINE,
                description="`cursor` of the previous page, with the same `order`",
            ),
        ] = None,
        order: Annotated[Literal["newest", "oldest"], QueryParameter(description="which events come first")] = "newest",
    ) -> EventPage:
        try:
            after = None if cursor is None else from_cursor(cursor)
        except ValueError as error:
            raise ProblemException(400, "Bad request", f"cursor: {error}") from error
        wanted = EventFilter(
            type=type,
            source=source,
            since=_timestamp("since", since),
            until=_timestamp("until", until),
            after=after,
            limit=limit,
            newest_first=order == "newest",
        )
        found, last = await queries.page(wanted)
        return EventPage(found, None if last is None else to_cursor(last))

    @get(
        "/gaps",
        summary="Missing events",
        description="Missing sequence numbers of all orders, or of orders with an event since then. An event that has"
        " not arrived yet is missing for a moment: repeat the request.",
        responses=FILTER_PROBLEMS,
    )
    async def gaps(since: Timestamp = None, limit: Limit = 100) -> GapPage:
        found = await queries.gaps(_timestamp("since", since), limit + 1)
        return GapPage(found[:limit], len(found) > limit)

    return [Router("/audit", route_handlers=[history, events, gaps], guards=[guard], tags=["audit"])]


def _timestamp(name: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        time = msgspec.convert(text, datetime)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except msgspec.ValidationError as error:
        raise ProblemException(400, "Bad request", f"{name}: there is no time {text}") from error
    except OverflowError as error:
        raise ProblemException(400, "Bad request", f"{name}: {text} is not in the years 1 to 9999 of UTC") from error
