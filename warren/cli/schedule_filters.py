"""The options that select scheduled messages."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated

from cyclopts import Group, Parameter

from warren.cli.arguments import parse_time

_filters = Group("Which messages", help="A message must match all of them.", sort_key=10)


@Parameter(name="*", group=_filters)
@dataclass(frozen=True, kw_only=True)
class ScheduleFilters:
    """The filters of a command about scheduled messages."""

    service: Annotated[list[str], Parameter(negative="", help="The service; may be repeated. Default: all.")] = field(
        default_factory=list
    )
    type: Annotated[str | None, Parameter(help="Event type, such as order.payment_reminder; * is a wildcard.")] = None
    order: Annotated[str | None, Parameter(help="The customer's reference of the order, or its id.")] = None
    within: Annotated[
        str | None, Parameter(help="Due within 90s, 10m, 2h, 7d from now, or before 2026-11-22T14:30, or already.")
    ] = None

    def due_before(self) -> datetime | None:
        """Raises ClientError for a value that cannot be parsed."""
        return parse_time(self.within, ahead=True)
