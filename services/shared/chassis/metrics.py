"""The Prometheus metrics of a process: those of the messaging library, of HTTP requests, Python and the process, and
what the service itself adds.

No label contains an id or any other value that a client chooses: the number of series does not grow with traffic.
"""

import asyncio
import platform
from collections.abc import Awaitable, Callable

import prometheus_client
import structlog
from litestar.plugins.prometheus import PrometheusConfig
from prometheus_client import REGISTRY, CollectorRegistry, Gauge

from services import VERSION
from warren_messaging.prometheus import PrometheusMetrics, exemplar, exposition
from warren_messaging.service import Service
from warren_messaging.tracing import current_traceparent

HTTP_METRICS = PrometheusConfig(
    app_name="warren",
    prefix="http",
    group_path=True,
    exemplars=lambda _: exemplar(current_traceparent()) or {},
)
"""Litestar's own counters and durations of requests, labelled by the pattern of the route, not by the path."""


class ProcessMetrics:
    """The page `/metrics` of one process. `messaging` is a listener for the telemetry of the process."""

    def __init__(self) -> None:
        # One more series for each counter and histogram, with the time of its creation: no query uses it.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.messaging = PrometheusMetrics(self.registry)
        self._refresh: asyncio.Task[None] | None = None
        self._refreshers: list[Callable[[], Awaitable[None]]] = [self.messaging.refresh]
        build = Gauge(
            "warren_build_info",
            "Always 1; the labels are the versions of Warren and of Python.",
            ["version", "python"],
            registry=self.registry,
        )
        build.labels(VERSION, platform.python_version()).set(1)

    def watch(self, service: Service) -> None:
        self.messaging.watch(service)

    def on_scrape(self, refresh: Callable[[], Awaitable[None]]) -> None:
        """Await `refresh` before each page is made. It sets gauges, and must end within two seconds."""
        self._refreshers.append(refresh)

    async def page(self, accept: str = "") -> tuple[bytes, str]:
        """Return the page and its content type: OpenMetrics with exemplars if `accept`, the scraper's header, asks for
        it, else plain text.

        Scrapes at the same time share one refresh, so that they take no further connections from the service.
        """
        if self._refresh is None or self._refresh.done():
            self._refresh = asyncio.create_task(self._refresh_all(), name="metrics")
        await asyncio.shield(self._refresh)
        return exposition(accept, self.registry, REGISTRY)

    async def _refresh_all(self) -> None:
        """An error of one does not cost the page: it has what the others have read."""
        results = await asyncio.gather(*(refresh() for refresh in self._refreshers), return_exceptions=True)
        for error in results:
            if isinstance(error, Exception):
                structlog.get_logger().error("metrics not refreshed", exc_info=error)
