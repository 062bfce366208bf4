"""The Prometheus metrics of a process: its events, outbox, HTTP requests and retention.

Names are those of OpenTelemetry's semantic conventions where they exist, in Prometheus's spelling. No label contains an
id or any other value that a client chooses: the number of series does not grow with traffic.
"""

import asyncio
import math
from collections.abc import Callable, Iterable
from functools import cache

from litestar.plugins.prometheus import PrometheusConfig
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0

from services.shared.contracts import CATALOGUE, AnyEvent
from warren_messaging.amqp.pipeline import PublishResult
from warren_messaging.consumer.circuit_breaker import CircuitBreaker
from warren_messaging.errors import MessagingError
from warren_messaging.postgres.database import Database
from warren_messaging.telemetry import BreakerState

CONTENT_TYPE = CONTENT_TYPE_PLAIN_1_0_0
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
MAX_OUTBOX_COUNT = 100_000  # events; a count beyond it would cost more than the number is worth
QUERY_SECONDS = 2.0
BREAKER_VALUES = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}
_KNOWN = frozenset(CATALOGUE)

HTTP_METRICS = PrometheusConfig(app_name="warren", prefix="http", group_path=True)
"""Litestar's own counters and durations of requests, labelled by the pattern of the route, not by the path."""


class ServiceMetrics:
    """A `Telemetry` listener of the messaging library that counts. It queries outbox and retention at each scrape."""

    def __init__(
        self, service: str, database: Database, circuit_breakers: Callable[[], Iterable[CircuitBreaker]] = tuple
    ) -> None:
        self._database = database
        self._circuit_breakers = circuit_breakers
        self._registry = CollectorRegistry()
        published = Counter(
            "messaging_client_sent_messages",
            "Events that the broker confirmed, returned or rejected.",
            ["messaging_client_id", "event_type", "outcome"],
            registry=self._registry,
        )
        processed = Histogram(
            "messaging_process_duration_seconds",
            "From the start of a delivery to the commit of its transaction; deliveries of one batch share one.",
            ["messaging_consumer_group_name", "event_type"],
            buckets=BUCKETS,
            registry=self._registry,
        )
        # `labels` costs more than the increment; the cache holds as many children as there are series.
        self._published = cache(lambda event_type, outcome: published.labels(service, event_type, outcome.name.lower()))
        self._processed = cache(processed.labels)
        self._repeated = Counter(
            "warren_repeated_deliveries",
            "Deliveries that the inbox had recorded already.",
            ["messaging_consumer_group_name", "event_type"],
            registry=self._registry,
        )
        self._failed = Counter(
            "warren_failed_deliveries",
            "Deliveries that failed and were requeued (retried) or dead-lettered (parked).",
            ["messaging_consumer_group_name", "outcome"],
            registry=self._registry,
        )
        self._errors = Counter(
            "warren_component_errors",
            "Times that a component had to wait for a server.",
            ["component"],
            registry=self._registry,
        )
        self._breaker_state = Gauge(
            "warren_circuit_breaker_state",
            "State of a circuit breaker in this process: 0 closed, 1 half-open, 2 open.",
            ["breaker"],
            registry=self._registry,
        )
        self._breaker_openings = Counter(
            "warren_circuit_breaker_openings",
            "Times that a circuit breaker of this process has opened.",
            ["breaker"],
            registry=self._registry,
        )
        self._outbox_events = Gauge(
            "warren_outbox_events",
            f"Committed events that the broker has not confirmed, at most {MAX_OUTBOX_COUNT}; NaN: unknown.",
            registry=self._registry,
        )
        self._outbox_age = Gauge(
            "warren_outbox_oldest_age_seconds",
            "Age of the oldest of these events by the database's clock, 0 without events; NaN: unknown.",
            registry=self._registry,
        )
        self._scheduled_messages = Gauge(
            "warren_scheduled_messages",
            f"Messages that are published at a later time, at most {MAX_OUTBOX_COUNT}; NaN: unknown.",
            registry=self._registry,
        )
        self._scheduled_overdue = Gauge(
            "warren_scheduled_overdue_seconds",
            "How late the first of these messages is by the database's clock, 0 if none is due; NaN: unknown.",
            registry=self._registry,
        )
        self._removed_rows = Gauge(
            "warren_removed_rows",
            "Rows that a retention rule has removed since its table was created, in all replicas.",
            ["rule"],
            registry=self._registry,
        )
        self._sweep_age = Gauge(
            "warren_retention_sweep_age_seconds",
            "Time since a retention rule last completed a sweep of its table; absent before the first one.",
            ["rule"],
            registry=self._registry,
        )

    def published(self, event: AnyEvent, outcome: PublishResult) -> None:
        self._published(_type(event), outcome).inc()

    def processed(self, consumer: str, event: AnyEvent, announced: list[str], seconds: float) -> None:
        self._processed(consumer, _type(event)).observe(seconds)

    def repeated(self, consumer: str, event: AnyEvent) -> None:
        self._repeated.labels(consumer, _type(event)).inc()

    def failed(
        self, consumer: str, key: str, reason: str, attempts: int, *, parked: bool, event: AnyEvent | None
    ) -> None:
        self._failed.labels(consumer, "parked" if parked else "retried").inc()

    def status(self, component: str, text: str, *, degraded: bool = True) -> None:
        if degraded:
            self._errors.labels(component).inc()

    def circuit_breaker(self, name: str, state: BreakerState, text: str) -> None:
        if state is BreakerState.OPEN:
            self._breaker_openings.labels(name).inc()

    async def page(self) -> bytes:
        """Return all metrics as text, including those of Python and of the process."""
        await self._read_outbox()
        await self._read_retention()
        for breaker in self._circuit_breakers():
            self._breaker_state.labels(breaker.name).set(BREAKER_VALUES[breaker.state])
        return generate_latest(self._registry) + generate_latest(REGISTRY)

    async def _read_outbox(self) -> None:
        values: Iterable[float] = [math.nan] * 4
        try:
            async with asyncio.timeout(QUERY_SECONDS), self._database.connection() as connection:
                row = await connection.fetchrow(
                    "SELECT (SELECT count(*) FROM (SELECT FROM outbox LIMIT $1::bigint) AS first), coalesce("
                    "extract(epoch FROM now() - (SELECT created_at FROM outbox ORDER BY position LIMIT 1)), 0),"
                    " (SELECT count(*) FROM (SELECT FROM scheduled LIMIT $1::bigint) AS first), greatest(0,"
                    "extract(epoch FROM now() - (SELECT due_at FROM scheduled ORDER BY due_at LIMIT 1)))",
                    MAX_OUTBOX_COUNT,
                )
                values = row or values
        except (TimeoutError, MessagingError):
            pass  # NaN
        gauges = (self._outbox_events, self._outbox_age, self._scheduled_messages, self._scheduled_overdue)
        for gauge, value in zip(gauges, values, strict=True):
            gauge.set(float(value))

    async def _read_retention(self) -> None:
        try:
            async with asyncio.timeout(QUERY_SECONDS), self._database.connection() as connection:
                rows = await connection.fetch(
                    "SELECT name, removed, extract(epoch FROM now() - finished_at) FROM retention"
                )
        except (TimeoutError, MessagingError):
            return  # the last known values stay
        for rule, removed, age in rows:
            self._removed_rows.labels(rule).set(removed)
            if age is not None:
                self._sweep_age.labels(rule).set(float(age))


def _type(event: AnyEvent) -> str:
    """The label of an event's type. Audit takes any type, and the number of labels must stay limited."""
    return event.type if event.type in _KNOWN else "other"
