"""The log over HTTP, to read only."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get
from litestar.params import FromPath, QueryParameter
from litestar.types import ControllerRouterHandler, Guard

from services.audit import cursor as cursors
from services.audit.domain import Gap
from services.audit.reading import Kept, Reader, Story, Wanted
from services.shared.chassis.http import Problem
from services.shared.chassis.problems import problems
from services.shared.messaging.storable import storable

MOST_PER_PAGE = 1000
FORBIDDEN = "the token is not one of the staff"

Name = Annotated[str | None, QueryParameter(max_length=200)]
Moment = Annotated[datetime | None, QueryParameter(description="ISO 8601; without an offset it is UTC")]
Limit = Annotated[int, QueryParameter(ge=1, le=MOST_PER_PAGE)]


class Page(msgspec.Struct, frozen=True, rename="camel"):
    """Events by time, oldest first. `cursor` asks for the next page; null at the end."""

    events: list[Kept]
    cursor: str | None


class Gaps(msgspec.Struct, frozen=True, rename="camel"):
    """Missing numbers. `more` says that there are further ones than `limit` let through."""

    gaps: list[Gap]
    more: bool


def routes(reader: Reader, gate: Guard) -> list[ControllerRouterHandler]:
    """The routes; `gate` decides who may pass."""

    @get(
        "/audit/orders/{order:uuid}",
        summary="The story of one order",
        description="All events about the order by time, the numbers that are missing, and contradictory events.",
        guards=[gate],
        responses=problems({403: FORBIDDEN, 404: "no event about this order is known"}),
        tags=["audit"],
    )
    async def story(order: FromPath[UUID]) -> Story:
        found = await reader.story(order)
        if not found.events and not found.contradictions:
            raise Problem(404, "Unknown order", f"No event about the order {order} is in the log.")
        return found

    @get(
        "/audit/events",
        summary="Events by time",
        description="Oldest first. Filters combine; `since` is included, `until` is not.",
        guards=[gate],
        responses=problems({400: "a parameter cannot be read; `detail` names it", 403: FORBIDDEN}),
        tags=["audit"],
    )
    async def events(
        type: Name = None,  # noqa: A002 - the name of the query parameter
        source: Name = None,
        since: Moment = None,
        until: Moment = None,
        limit: Limit = 100,
        cursor: Annotated[str | None, QueryParameter(max_length=cursors.LENGTH)] = None,
    ) -> Page:
        try:
            after = None if cursor is None else cursors.from_text(cursor)
        except ValueError as error:
            raise Problem(400, "Bad request", f"cursor: {error}") from error
        wanted = Wanted(
            type=_text(type), source=_text(source), since=_moment(since), until=_moment(until), after=after, limit=limit
        )
        found, further = await reader.page(wanted)
        return Page(found, None if further is None else cursors.to_text(further))

    @get(
        "/audit/gaps",
        summary="Missing events",
        description="Numbers that sources skipped, of all subjects or of those with an event since then. An event "
        "that is still on its way looks like a gap for a moment: ask again.",
        guards=[gate],
        responses=problems({400: "a parameter cannot be read; `detail` names it", 403: FORBIDDEN}),
        tags=["audit"],
    )
    async def gaps(since: Moment = None, limit: Limit = 100) -> Gaps:
        found = await reader.gaps(_moment(since), limit + 1)
        return Gaps(found[:limit], len(found) > limit)

    return [story, events, gaps]


def _text(text: str | None) -> str | None:
    return None if text is None else storable(text)


def _moment(time: datetime | None) -> datetime | None:
    try:
        return time if time is None else (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError as error:
        raise Problem(400, "Bad request", f"{time} is not in the years 1 to 9999 of UTC") from error
