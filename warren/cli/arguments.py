"""Option types that several commands share, and the parser of points in time."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from cyclopts import Parameter, validators

from warren.errors import ClientError

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON document a line, for programs.")]
ListLimit = Annotated[int, Parameter(help="Show at most this many; 0 shows all.", validator=validators.Number(gte=0))]
MessageLimit = Annotated[
    int | None, Parameter(help="At most this many messages, oldest first.", validator=validators.Number(gte=1))
]

# Filters of recorded failures.
FailureReason = Annotated[str | None, Parameter(help="Regular expression, matched without regard to case.")]
FailedSince = Annotated[str | None, Parameter(help="Last failed at or after: 90s, 10m, 2h, 7d, or an ISO time.")]
FailedBefore = Annotated[str | None, Parameter(help="Last failed before; written like --since.")]
OrderSubject = Annotated[str | None, Parameter(help="The customer's reference of the order, or its id.")]
EventType = Annotated[str | None, Parameter(help="Event type, such as order.*")]

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_time(text: str | None, now: datetime | None = None, *, ahead: bool = False) -> datetime | None:
    """Parse `90s`, `10m`, `2h`, `7d` or ISO 8601 (local time without a zone). Raises ClientError.

    The first are before now, or after now with `ahead`.
    """
    if text is None:
        return None
    if match := re.fullmatch(r"(\d{1,6})([smhd])", text):
        distance = timedelta(**{_UNITS[match[2]]: int(match[1])})
        return (now or datetime.now(UTC)) + (distance if ahead else -distance)
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ClientError(f"{text!r} is not a time: write 90s, 10m, 2h, 7d or 2026-11-22T14:30") from error
