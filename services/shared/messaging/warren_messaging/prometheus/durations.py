"""A histogram for measurements of each message: a tenth of the cost of prometheus_client's, which takes a lock for each
bucket and compares every bound."""

import math
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, Exemplar, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Seconds; OpenTelemetry's advice for durations of messaging operations."""
_BOUNDS = [floatToGoString(bound) for bound in (*BUCKETS, math.inf)]  # type: ignore[no-untyped-call]


class DurationSeries:
    """The series of one histogram with the same labels. Observed by one thread."""

    __slots__ = ("_counts", "_exemplars", "total")

    def __init__(self) -> None:
        self._counts = [0] * len(_BOUNDS)
        self._exemplars: list[Exemplar | None] = [None] * len(_BOUNDS)
        self.total = 0.0

    def observe(self, seconds: float, exemplar: dict[str, str] | None = None) -> None:
        index = bisect_left(BUCKETS, seconds)
        self._counts[index] += 1
        self.total += seconds
        if exemplar is not None:
            self._exemplars[index] = Exemplar(exemplar, seconds, time.time())

    @property
    def count(self) -> int:
        return sum(self._counts)

    def buckets(self) -> list[tuple[str, float, Exemplar | None]]:
        """Return bound, cumulated count and exemplar of each bucket."""
        found, below = [], 0
        for bound, count, exemplar in zip(_BOUNDS, self._counts, self._exemplars, strict=True):
            below += count
            found.append((bound, float(below), exemplar))
        return found


class Durations(Collector):
    """A histogram with BUCKETS. With `counter`, name and meaning, it is also a counter with the same labels."""

    def __init__(
        self,
        name: str,
        meaning: str,
        labels: Sequence[str],
        registry: CollectorRegistry,
        counter: tuple[str, str] | None = None,
    ) -> None:
        self._name, self._meaning, self._labels, self._counter = name, meaning, labels, counter
        self._series: dict[tuple[str, ...], DurationSeries] = {}
        registry.register(self)

    def labels(self, *values: str) -> DurationSeries:
        series = self._series.get(values)
        if series is None:
            series = self._series[values] = DurationSeries()
        return series

    def collect(self) -> Iterator[Metric]:
        histogram = HistogramMetricFamily(self._name, self._meaning, labels=self._labels)
        for values, series in self._series.items():
            histogram.add_metric(values, series.buckets(), series.total)  # type: ignore[arg-type]
        yield histogram
        if self._counter is not None:
            counter = CounterMetricFamily(*self._counter, labels=self._labels)
            for values, series in self._series.items():
                counter.add_metric(values, series.count)
            yield counter
