"""The gauges of a service: backlog, messages in progress, connections, certificates, circuit breakers, retention."""

import asyncio
import math

import asyncpg
from prometheus_client import CollectorRegistry, Gauge

from warren_messaging.certificates import ca_expires_at
from warren_messaging.errors import MessagingError
from warren_messaging.postgres import inspection
from warren_messaging.postgres.inspection import Backlog
from warren_messaging.service import Service
from warren_messaging.telemetry import BreakerState

MAX_COUNT = 100_000  # rows; a count beyond it would cost more than the number is worth
QUERY_SECONDS = 2.0
BREAKER_VALUES = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}
UNKNOWN = (math.nan, math.nan, math.nan, math.nan)


class ServiceGauges:
    """Reads a service at each scrape. Nothing is read between scrapes."""

    def __init__(self, service: Service, registry: CollectorRegistry) -> None:
        self._service = service

        def gauge(name: str, meaning: str, *labels: str) -> Gauge:
            return Gauge(name, meaning, labels, registry=registry)

        self._backlog = (
            gauge(
                "warren_outbox_events",
                f"Committed events that the broker has not confirmed, at most {MAX_COUNT}; NaN: unknown.",
            ),
            gauge(
                "warren_outbox_oldest_age_seconds",
                "Age of the oldest of these events by the database's clock, 0 without events; NaN: unknown.",
            ),
            gauge(
                "warren_scheduled_messages",
                f"Messages that are published at a later time, at most {MAX_COUNT}; NaN: unknown.",
            ),
            gauge(
                "warren_scheduled_overdue_seconds",
                "How late the first of these messages is by the database's clock, 0 if none is due; NaN: unknown.",
            ),
        )
        self._in_progress = gauge(
            "warren_messages_in_progress", "Deliveries that this process is processing or has not settled yet.", "queue"
        )
        self._connections = gauge(
            "warren_database_connections",
            "Open connections of the pool: in use by a transaction or query (used), or free (idle).",
            "state",
        )
        self._max_connections = gauge("warren_database_connections_max", "Size of the pool of database connections.")
        self._expiry = gauge(
            "warren_certificate_expiry_timestamp_seconds",
            "When a certificate expires: of the server at the last connect, and the first of its CA file.",
            "server",
            "certificate",
        )
        self._breakers = gauge(
            "warren_circuit_breaker_state",
            "State of a circuit breaker in this process: 0 closed, 1 half-open, 2 open.",
            "breaker",
        )
        self._removed_rows = gauge(
            "warren_removed_rows",
            "Rows that a retention rule has removed since its table was created, in all replicas.",
            "rule",
        )
        self._sweep_age = gauge(
            "warren_retention_sweep_age_seconds",
            "Time since a retention rule last completed a sweep of its table; NaN before the first one.",
            "rule",
        )

    def broker_certificate_expires_at(self, time: float) -> None:
        self._expiry.labels("broker", "server").set(time)

    async def refresh(self) -> None:
        """Read everything; see PrometheusMetrics.refresh."""
        self._read_process()
        self._read_certificates()
        backlog: Backlog | None = None
        try:
            async with asyncio.timeout(QUERY_SECONDS), self._service.database.connection() as connection:
                backlog = await inspection.backlog(connection, MAX_COUNT)
                sweeps = await inspection.sweeps(connection)
        except (TimeoutError, MessagingError, asyncpg.PostgresError):
            sweeps = []  # the last known values stay
        self._set_backlog(backlog)
        for sweep in sweeps:
            self._removed_rows.labels(sweep.rule).set(sweep.removed)
            self._sweep_age.labels(sweep.rule).set(math.nan if sweep.seconds_ago is None else sweep.seconds_ago)

    def _set_backlog(self, backlog: Backlog | None) -> None:
        values = UNKNOWN
        if backlog is not None:
            values = (
                backlog.outbox_events,
                backlog.outbox_oldest_seconds,
                backlog.scheduled_messages,
                backlog.scheduled_overdue_seconds,
            )
        for each, value in zip(self._backlog, values, strict=True):
            each.set(value)

    def _read_process(self) -> None:
        for definition in self._service.consumers:
            consumer = self._service.running_consumers.get(definition.queue)
            self._in_progress.labels(definition.queue).set(0 if consumer is None else consumer.in_progress)
        usage = self._service.database.pool_usage
        self._connections.labels("used").set(usage.used)
        self._connections.labels("idle").set(usage.idle)
        self._max_connections.set(usage.maximum)
        for breaker in self._service.circuit_breakers:
            self._breakers.labels(breaker.name).set(BREAKER_VALUES[breaker.state])

    def _read_certificates(self) -> None:
        if (expires_at := self._service.database.certificate.expires_at) is not None:
            self._expiry.labels("database", "server").set(expires_at)
        settings = self._service.settings
        for server, ca_file in (("broker", settings.broker.ca_file), ("database", settings.database.ca_file)):
            if ca_file is not None and (expires_at := ca_expires_at(ca_file)) is not None:
                self._expiry.labels(server, "ca").set(expires_at)
