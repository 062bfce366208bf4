"""Times as Kubernetes writes them."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def age_seconds(stamp: str) -> float:
    """Seconds since that time, by this machine's clock; never negative."""
    return max(0.0, seconds_between(stamp, now()))


def seconds_between(first: str, second: str) -> float:
    then, later = (datetime.fromisoformat(each.replace("Z", "+00:00")) for each in (first, second))
    return (later - then).total_seconds()
