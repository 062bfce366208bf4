"""Counts and measures the work of a service.

The names are those of OpenTelemetry's semantic conventions for messaging (1.44) in Prometheus's spelling, and
`warren_…` where these have none. No label contains a value that a client or a sender of messages chooses: the number of
series does not grow with traffic.
"""

import collections
from collections.abc import Collection, Sequence
from functools import cache

from prometheus_client import REGISTRY, CollectorRegistry, Counter

from warren_messaging.amqp.pipeline import PublishResult
from warren_messaging.delivery import Delivery
from warren_messaging.events import AnyEvent
from warren_messaging.failure import DeliveryFailure, FailureReason
from warren_messaging.prometheus.destinations import OTHER, DestinationNames
from warren_messaging.prometheus.durations import Durations, DurationSeries
from warren_messaging.prometheus.exposition import exemplar
from warren_messaging.prometheus.gauges import ServiceGauges
from warren_messaging.service import Service
from warren_messaging.telemetry import BreakerState, Telemetry

_COMMON = ("messaging_system", "messaging_operation_name", "messaging_destination_name")
_ERRORS = {PublishResult.RETURNED: "returned", PublishResult.REFUSED: "refused"}
_OUTCOMES = [
    ("parked" if parked else "retried", reason)
    for reason in FailureReason
    for parked in (False, True)
    if parked == (reason.is_permanent or reason is FailureReason.EXHAUSTED)
]


class PrometheusMetrics(Telemetry):
    """A listener that counts, for the argument `telemetry` of a `Service`, and the gauges of that service.

    Call `watch` when the service is built, and `refresh` before each exposition of `registry`. One registry takes the
    metrics of one service.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.registry = registry
        self._types: Collection[str] = ()
        self._destinations = DestinationNames(lambda routing_key: routing_key in self._types)
        self._gauges: ServiceGauges | None = None
        self._connected: set[str] = set()
        self._operations = Durations(
            "messaging_client_operation_duration_seconds",
            "From the write of a message to the broker's answer; messages of one batch share the write.",
            [*_COMMON, "error_type"],
            registry,
            counter=(
                "messaging_client_sent_messages",
                "Messages that were sent to the broker; without error_type it has confirmed them.",
            ),
        )
        self._consumed = Counter(
            "messaging_client_consumed_messages",
            "Deliveries that a consumer has taken from its queue to process them.",
            [*_COMMON, "messaging_consumer_group_name", "error_type"],
            registry=registry,
        )
        self._process = Durations(
            "messaging_process_duration_seconds",
            "From the start of a delivery to its commit or failure; deliveries of one batch share a transaction.",
            [*_COMMON, "messaging_consumer_group_name", "error_type"],
            registry,
        )
        self._repeated = Counter(
            "warren_repeated_deliveries",
            "Deliveries that the inbox had recorded already: they changed nothing.",
            ["messaging_consumer_group_name", "event_type"],
            registry=registry,
        )
        self._failed = Counter(
            "warren_failed_deliveries",
            "Deliveries that failed and went back to their queue (retried) or to the parking lot (parked).",
            ["messaging_consumer_group_name", "outcome", "reason"],
            registry=registry,
        )
        self._errors = Counter(
            "warren_component_errors",
            "Times that a component had to wait for a server, or that a part of its work failed.",
            ["component"],
            registry=registry,
        )
        self._reconnects = Counter(
            "warren_reconnects",
            "Connections to the broker that replaced a lost one, or one with replaced credentials.",
            ["component"],
            registry=registry,
        )
        self._breaker_openings = Counter(
            "warren_circuit_breaker_openings",
            "Times that a circuit breaker of this process has opened.",
            ["breaker"],
            registry=registry,
        )
        # `labels` costs more than the increment. The cache holds as many children as there are series.
        self._consuming = cache(self._consumed_child)

    def watch(self, service: Service) -> None:
        """Read the gauges of `service`, and know its event types. Reads no setting yet."""
        self._types = service.catalogue
        self._gauges = ServiceGauges(service, self.registry)
        self._service = service

    async def refresh(self) -> None:
        """Read the gauges. A server that does not answer within two seconds leaves them unknown (NaN)."""
        if self._gauges is None:
            return
        self._start_at_zero()
        await self._gauges.refresh()

    def published(self, event: AnyEvent, exchange: str, result: PublishResult, seconds: float) -> None:
        destination = self._destinations.of(exchange, event.type)
        error = "" if result is PublishResult.CONFIRMED else _ERRORS[result]
        series = self._operations.labels("rabbitmq", "publish", destination, error)
        series.observe(seconds, exemplar(event.traceparent))

    def received(self, consumer: str, deliveries: Sequence[Delivery]) -> None:
        of = self._destinations.of
        counts = collections.Counter([of(each.exchange, each.routing_key, each.queue) for each in deliveries])
        for destination, count in counts.items():
            self._consuming(consumer, destination).inc(count)

    def processed(
        self, consumer: str, delivery: Delivery, event: AnyEvent, announced: list[str], seconds: float
    ) -> None:
        self._processing(consumer, delivery, "").observe(seconds, exemplar(event.traceparent))

    def repeated(self, consumer: str, delivery: Delivery, event: AnyEvent) -> None:
        self._repeated.labels(consumer, event.type if event.type in self._types else OTHER).inc()

    def failed(self, consumer: str, delivery: Delivery, event: AnyEvent | None, failure: DeliveryFailure) -> None:
        self._failed.labels(consumer, "parked" if failure.parked else "retried", failure.reason).inc()
        self._processing(consumer, delivery, failure.reason).observe(failure.seconds)

    def connected(self, component: str, certificate_expires_at: float | None) -> None:
        if component in self._connected:
            self._reconnects.labels(component).inc()
        self._connected.add(component)
        if self._gauges is not None and certificate_expires_at is not None:
            self._gauges.broker_certificate_expires_at(certificate_expires_at)

    def status(self, component: str, text: str, *, degraded: bool = True) -> None:
        if degraded:
            self._errors.labels(component).inc()

    def circuit_breaker(self, name: str, state: BreakerState, text: str) -> None:
        if state is BreakerState.OPEN:
            self._breaker_openings.labels(name).inc()

    # Children

    def _consumed_child(self, consumer: str, destination: str) -> Counter:
        return self._consumed.labels("rabbitmq", "receive", destination, consumer, "")

    def _processing(self, consumer: str, delivery: Delivery, error: str) -> DurationSeries:
        destination = self._destinations.of(delivery.exchange, delivery.routing_key, delivery.queue)
        return self._process.labels("rabbitmq", "process", destination, consumer, error)

    def _start_at_zero(self) -> None:
        """Expose counters that have not counted yet: the increase to 1 is lost for a query if there was no 0."""
        for component in ("relay", *(each.queue for each in self._service.consumers)):
            self._errors.labels(component)
            self._reconnects.labels(component)
        for breaker in self._service.circuit_breakers:
            self._breaker_openings.labels(breaker.name)
        if self._service.consumers:
            for outcome, reason in _OUTCOMES:
                self._failed.labels(self._service.name, outcome, reason)
        for definition in self._service.consumers:
            for event_type in definition.types or self._types:
                self._repeated.labels(self._service.name, event_type)
