"""The options that choose among parked messages."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

from warren.cli.time_args import parse_time
from warren.errors import ClientError

if TYPE_CHECKING:
    from warren_messaging.dead_letters.selection import Selection

_filters = Group("Which messages", help="All that is given must hold.", sort_key=10)


@Parameter(name="*", group=_filters)
@dataclass(frozen=True, kw_only=True)
class MessageFilters:
    """What a command about parked messages is given."""

    queue: Annotated[
        list[str],
        Parameter(
            help="inventory or inventory.dlq; unrouted for events no service binds. May be repeated.", negative=""
        ),
    ] = field(default_factory=list)
    reason: Annotated[
        str | None, Parameter(help="Regular expression, found anywhere in the reason; capitals do not matter.")
    ] = None
    since: Annotated[str | None, Parameter(help="Parked then or later: 90s, 10m, 2h, 7d ago, or 2026-11-22T14:30.")] = (
        None
    )
    until: Annotated[str | None, Parameter(help="Parked before then; written like --since.")] = None
    order: Annotated[str | None, Parameter(help="The customer's order number, or the order's id.")] = None
    type: Annotated[str | None, Parameter(help="Event type, such as order.created; * stands for anything.")] = None
    id: Annotated[str | None, Parameter(help="Event id, message id or body hash, or how it begins.")] = None

    def selection(self) -> Selection:
        """Raises ClientError for what cannot be understood."""
        from warren_messaging.dead_letters.selection import Selection

        try:
            reason = None if self.reason is None else re.compile(self.reason, re.IGNORECASE)
        except re.error as error:
            raise ClientError(f"--reason {self.reason!r} is no regular expression: {error}") from error
        return Selection(
            reason=reason,
            since=parse_time(self.since),
            until=parse_time(self.until),
            order=self.order,
            type=self.type,
            id=self.id,
        )
