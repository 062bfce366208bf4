"""The log over HTTP, to read only."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from litestar import get
from litestar.params import PathParameter, QueryParameter
from litestar.types import ControllerRouterHandler, Guard

from services.audit import cursor as cursors
from services.audit.domain import Gap
from services.audit.reading import Kept, Reader, Story, Wanted
from services.shared.chassis.http.problems import Problem, problems
from services.shared.contracts.values import SINGLE_LINE

MOST_PER_PAGE = 1000
FORBIDDEN = "the token is not one of the staff"

Name = Annotated[str | None, QueryParameter(max_length=200, pattern=SINGLE_LINE)]
Moment = Annotated[
    str | None,
    QueryParameter(
        max_length=40,
        pattern=r"^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)?$(?!\n)",
        description="a time of ISO 8601 such as 2026-01-31T12:00:00Z; without an offset it is UTC",
    ),
]
Limit = Annotated[int, QueryParameter(ge=1, le=MOST_PER_PAGE)]


class Page(msgspec.Struct, frozen=True, rename="camel"):
    """Events by time. `cursor` asks for the next page; null at the end."""

    events: list[Kept]
    cursor: str | None


class Gaps(msgspec.Struct, frozen=True, rename="camel"):
    """Missing numbers. `more` says that there are further ones than `limit` let through."""

    gaps: list[Gap]
    more: bool


def routes(reader: Reader, guard: Guard) -> list[ControllerRouterHandler]:
    """The routes; `guard` decides who may pass."""

    @get(
        "/audit/orders/{order:str}",
        summary="The story of one order",
        description="All events about the order by time, the numbers that are missing, and contradictory events."
        " The order is named by its id or by the customer's own number.",
        guards=[guard],
        responses=problems(
            {
                403: FORBIDDEN,
                404: "no event about this order is known",
                409: "several customers have an order with this number; `orders` has their ids",
            }
        ),
        tags=["audit"],
    )
    async def story(order: Annotated[str, PathParameter(max_length=100, pattern=SINGLE_LINE)]) -> Story:
        with suppress(ValueError):  # not a UUID
            if (found := await reader.story(UUID(order))).events or found.contradictions:
                return found
        subjects = await reader.subjects(order)
        if not subjects:
            raise Problem(404, "Unknown order", f"The log has no order with the id or number {order!r}.")
        if len(subjects) > 1:
            ids = [str(subject) for subject in subjects]
            raise Problem(409, "Several orders", f"{len(ids)} orders have the number {order!r}. Ask by id.", orders=ids)
        return await reader.story(subjects[0])

    @get(
        "/audit/events",
        summary="Events by time",
        description="Newest first, unless `order` is `oldest`. Filters combine; `since` is included, `until` is not.",
        guards=[guard],
        responses=problems({400: "a parameter cannot be read; `detail` names it", 403: FORBIDDEN}),
        tags=["audit"],
    )
    async def events(
        type: Name = None,  # noqa: A002 - the name of the query parameter
        source: Name = None,
        since: Moment = None,
        until: Moment = None,
        limit: Limit = 100,
        cursor: Annotated[
            str | None,
            QueryParameter(
                max_length=cursors.LENGTH,
                pattern=SINGLE_LINE,
                description="`cursor` of the page before, in the same order",
            ),
        ] = None,
        order: Annotated[Literal["newest", "oldest"], QueryParameter(description="which events come first")] = "newest",
    ) -> Page:
        try:
            after = None if cursor is None else cursors.from_text(cursor)
        except ValueError as error:
            raise Problem(400, "Bad request", f"cursor: {error}") from error
        wanted = Wanted(
            type=type,
            source=source,
            since=_moment("since", since),
            until=_moment("until", until),
            after=after,
            limit=limit,
            newest_first=order == "newest",
        )
        found, further = await reader.page(wanted)
        return Page(found, None if further is None else cursors.to_text(further))

    @get(
        "/audit/gaps",
        summary="Missing events",
        description="Numbers that sources skipped, of all subjects or of those with an event since then. An event "
        "that is still on its way looks like a gap for a moment: ask again.",
        guards=[guard],
        responses=problems({400: "a parameter cannot be read; `detail` names it", 403: FORBIDDEN}),
        tags=["audit"],
    )
    async def gaps(since: Moment = None, limit: Limit = 100) -> Gaps:
        found = await reader.gaps(_moment("since", since), limit + 1)
        return Gaps(found[:limit], len(found) > limit)

    return [story, events, gaps]


def _moment(name: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        time = msgspec.convert(text, datetime)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except msgspec.ValidationError as error:
        raise Problem(400, "Bad request", f"{name}: there is no time {text}") from error
    except OverflowError as error:
        raise Problem(400, "Bad request", f"{name}: {text} is not in the years 1 to 9999 of UTC") from error
