"""Metrics as text, and the trace ids in them."""

from collections.abc import Iterator
from functools import lru_cache

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from warren_messaging.tracing import is_sampled, is_unsampled


def exposition(accept: str, *registries: CollectorRegistry) -> tuple[bytes, str]:
    """Return the metrics of all registries and their content type.

    `accept` is the scraper's header of that name. A scraper that asks for OpenMetrics, as Prometheus does, also gets
    the exemplars; every other one gets plain text.
    """
    encode, content_type = choose_encoder(accept)
    return encode(_Union(registries)), content_type


def exemplar(traceparent: str | None) -> dict[str, str] | None:
    """Return the exemplar for a metric: the trace id of a sampled context, else None."""
    return None if traceparent is None or is_unsampled(traceparent) else _exemplar(traceparent)


@lru_cache(maxsize=1024)  # the events of one order share their context
def _exemplar(traceparent: str) -> dict[str, str] | None:
    return {"trace_id": traceparent[3:35]} if is_sampled(traceparent) else None


class _Union(Collector):
    def __init__(self, registries: tuple[CollectorRegistry, ...]) -> None:
        self._registries = registries

    def collect(self) -> Iterator[Metric]:
        for registry in self._registries:
            yield from registry.collect()
