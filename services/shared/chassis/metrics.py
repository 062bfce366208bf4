"""What Prometheus reads of a process: its events, its outbox, its HTTP requests, what was removed.

Names are those of OpenTelemetry's semantic conventions where it has one, in Prometheus's spelling. No label holds an
id or anything else that a client chooses: the number of series does not grow with traffic.
"""

import asyncio
import math

from litestar.plugins.prometheus import PrometheusConfig
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0

from services.shared.contracts import CATALOGUE, AnyEvent
from warren_messaging.amqp.pipeline import Outcome
from warren_messaging.errors import MessagingError
from warren_messaging.postgres.database import Database

CONTENT_TYPE = CONTENT_TYPE_PLAIN_1_0_0
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
OUTBOX_COUNTED = 100_000  # events; counting more would cost more than the figure is worth
OUTBOX_SECONDS = 2.0
_KNOWN = frozenset(CATALOGUE)

HTTP_METRICS = PrometheusConfig(app_name="warren", prefix="http", group_path=True)
"""Litestar's own counters and durations of requests, by the route's pattern and never by its path."""


class ServiceMetrics:
    """Counts what the library tells, as one of its `Telemetry` listeners, and asks the outbox when it is read."""

    def __init__(self, service: str, database: Database) -> None:
        self._service = service
        self._database = database
        self._registry = CollectorRegistry()
        # Finding a child by its labels costs more than counting; these are as few as there are series.
        self._sent: dict[tuple[str, Outcome], Counter] = {}
        self._durations: dict[tuple[str, str], Histogram] = {}
        self._published = Counter(
            "messaging_client_sent_messages",
            "Events that the broker answered for.",
            ["messaging_client_id", "event_type", "outcome"],
            registry=self._registry,
        )
        self._processed = Histogram(
            "messaging_process_duration_seconds",
            "From a delivery's turn to the commit of its transaction; deliveries of one batch share one.",
            ["messaging_consumer_group_name", "event_type"],
            buckets=BUCKETS,
            registry=self._registry,
        )
        self._repeated = Counter(
            "warren_repeated_deliveries",
            "Deliveries that the inbox knew already.",
            ["messaging_consumer_group_name", "event_type"],
            registry=self._registry,
        )
        self._failed = Counter(
            "warren_failed_deliveries",
            "Deliveries that failed and will be tried again, or were parked.",
            ["messaging_consumer_group_name", "fate"],
            registry=self._registry,
        )
        self._troubles = Counter(
            "warren_troubles", "Times that a part was held up by a server.", ["component"], registry=self._registry
        )
        self._waiting = Gauge(
            "warren_outbox_events",
            f"Committed events that the broker has not confirmed, at most {OUTBOX_COUNTED}; NaN: not known.",
            registry=self._registry,
        )
        self._oldest = Gauge(
            "warren_outbox_oldest_age_seconds",
            "Age of the oldest of them by the database's clock, 0 when there is none; NaN: not known.",
            registry=self._registry,
        )

        self._removed = Gauge(
            "warren_removed_rows",
            "Rows that were removed because of their age since the table was made, by all replicas.",
            ["walk"],
            registry=self._registry,
        )
        self._walked = Gauge(
            "warren_walk_finished_age_seconds",
            "Time since a walk that removes old rows last came to its end; absent before the first one has.",
            ["walk"],
            registry=self._registry,
        )

    def published(self, event: AnyEvent, outcome: Outcome) -> None:
        key = (_type(event), outcome)
        counter = self._sent.get(key)
        if counter is None:
            counter = self._sent[key] = self._published.labels(self._service, key[0], outcome.name.lower())
        counter.inc()

    def processed(self, consumer: str, event: AnyEvent, effects: list[str], seconds: float) -> None:
        key = (consumer, _type(event))
        histogram = self._durations.get(key)
        if histogram is None:
            histogram = self._durations[key] = self._processed.labels(*key)
        histogram.observe(seconds)

    def repeated(self, consumer: str, event: AnyEvent) -> None:
        self._repeated.labels(consumer, _type(event)).inc()

    def failed(self, consumer: str, key: str, reason: str, attempts: int, *, parked: bool) -> None:
        self._failed.labels(consumer, "parked" if parked else "retried").inc()

    def state(self, component: str, text: str, *, trouble: bool = True) -> None:
        if trouble:
            self._troubles.labels(component).inc()

    async def page(self) -> bytes:
        """The text exposition of everything, Python's and the process's own figures included."""
        waiting, oldest = await self._outbox()
        self._waiting.set(waiting)
        self._oldest.set(oldest)
        await self._look_at_retention()
        return generate_latest(self._registry) + generate_latest(REGISTRY)

    async def _outbox(self) -> tuple[float, float]:
        try:
            async with asyncio.timeout(OUTBOX_SECONDS), self._database.connection() as connection:
                row = await connection.fetchrow(
                    "SELECT (SELECT count(*) FROM (SELECT FROM outbox LIMIT $1::bigint) AS first), coalesce("
                    "extract(epoch FROM now() - (SELECT created_at FROM outbox ORDER BY position LIMIT 1)), 0)",
                    OUTBOX_COUNTED,
                )
        except (TimeoutError, MessagingError):
            return math.nan, math.nan
        return (float(row[0]), float(row[1])) if row else (math.nan, math.nan)

    async def _look_at_retention(self) -> None:
        try:
            async with asyncio.timeout(OUTBOX_SECONDS), self._database.connection() as connection:
                rows = await connection.fetch(
                    "SELECT name, removed, extract(epoch FROM now() - finished_at) FROM retention"
                )
        except (TimeoutError, MessagingError):
            return  # what was known stays
        for name, removed, age in rows:
            self._removed.labels(name).set(removed)
            if age is not None:
                self._walked.labels(name).set(float(age))


def _type(event: AnyEvent) -> str:
    """Audit takes events of any type, and a label must not grow without bound."""
    return event.type if event.type in _KNOWN else "other"
