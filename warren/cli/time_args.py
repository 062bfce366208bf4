"""Times as people give and read them on a command line."""

import re
from datetime import UTC, datetime, timedelta

from warren.errors import ClientError

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_time(text: str | None, now: datetime | None = None) -> datetime | None:
    """`90s`, `10m`, `2h`, `7d` before now, or ISO 8601 (local time unless it names a zone). Raises ClientError."""
    if text is None:
        return None
    if match := re.fullmatch(r"(\d{1,6})([smhd])", text):
        return (now or datetime.now(UTC)) - timedelta(**{_UNITS[match[2]]: int(match[1])})
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ClientError(f"{text!r} is no time: write 90s, 10m, 2h, 7d or 2026-11-22T14:30") from error


def age(since: datetime | None, now: datetime | None = None) -> str:
    """How long ago, in its largest unit; "?" if nobody knows."""
    if since is None:
        return "?"
    seconds = max(((now or datetime.now(UTC)) - since).total_seconds(), 0)
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
