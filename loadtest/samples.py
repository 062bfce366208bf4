"""Repeated measurements of one thing, and how they are summed up."""

import statistics
from collections.abc import Sequence

import msgspec


class Summary(msgspec.Struct, frozen=True):
    least: float
    median: float
    most: float


def summary(values: Sequence[float]) -> Summary:
    """Of at least one value. The median is what is judged: one disturbed round does not move it."""
    return Summary(min(values), statistics.median(values), max(values))
