"""The options that select parked messages."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

from warren.cli.arguments import parse_time
from warren.errors import ClientError

if TYPE_CHECKING:
    from warren_messaging.dead_letters.selection import Selection

_filters = Group("Which messages", help="A message must match all of them.", sort_key=10)


@Parameter(name="*", group=_filters)
@dataclass(frozen=True, kw_only=True)
class MessageFilters:
    """The filters of a command about parked messages."""

    queue: Annotated[
        list[str],
        Parameter(
            help="inventory or inventory.dlq; unrouted for events that no service binds. May be repeated.", negative=""
        ),
    ] = field(default_factory=list)
    reason: Annotated[
        str | None, Parameter(help="Regular expression, found anywhere in the reason, without regard to case.")
    ] = None
    since: Annotated[str | None, Parameter(help="Parked at or after: 90s, 10m, 2h, 7d ago, or 2026-11-22T14:30.")] = (
        None
    )
    until: Annotated[str | None, Parameter(help="Parked before; written like --since.")] = None
    order: Annotated[str | None, Parameter(help="The customer's reference of the order, or its id.")] = None
    type: Annotated[str | None, Parameter(help="Event type, such as order.created; * is a wildcard.")] = None
    id: Annotated[str | None, Parameter(help="Event id, message id or body hash, or the beginning of one.")] = None

    def selection(self) -> Selection:
        """Raises ClientError for a value that cannot be parsed."""
        from warren_messaging.dead_letters.selection import Selection

        try:
            reason = None if self.reason is None else re.compile(self.reason, re.IGNORECASE)
        except re.error as error:
            raise ClientError(f"--reason {self.reason!r} is not a regular expression: {error}") from error
        return Selection(
            reason=reason,
            since=parse_time(self.since),
            until=parse_time(self.until),
            order=self.order,
            type=self.type,
            id=self.id,
        )
