"""Telemetry that records every call, for tests."""

from collections.abc import Iterable

from warren_messaging.amqp.pipeline import PublishResult
from warren_messaging.delivery import Delivery
from warren_messaging.events import AnyEvent
from warren_messaging.failure import DeliveryFailure, FailureReason
from warren_messaging.telemetry import BreakerState, Telemetry


class RecordingTelemetry(Telemetry):
    def __init__(self) -> None:
        self.publish_results: list[tuple[str, PublishResult]] = []
        """Event type and result."""
        self.processed_events: list[tuple[str, list[str]]] = []
        """Event type and the types of the events that it led to."""
        self.repeated_events: list[AnyEvent] = []
        self.failures: list[tuple[str, int, bool]] = []
        """Reason in words, number of attempts, and whether the message was parked."""
        self.failure_reasons: list[FailureReason] = []
        """The class of each of these reasons."""
        self.connections: list[tuple[str, float | None]] = []
        """Component, and when the broker's certificate expires."""
        self.statuses: list[str] = []
        """Component and text."""
        self.breaker_states: list[tuple[str, BreakerState]] = []
        """Name and new state of circuit breakers."""
        self._last_failures: dict[str, tuple[str, int]] = {}

    def last_failure(self, keys: Iterable[str]) -> tuple[str | None, int]:
        """Return reason and number of attempts of the last failure under the first of the keys that has one."""
        return next((self._last_failures[key] for key in keys if key in self._last_failures), (None, 0))

    def published(self, event: AnyEvent, exchange: str, result: PublishResult, seconds: float) -> None:
        self.publish_results.append((event.type, result))

    def processed(
        self, consumer: str, delivery: Delivery, event: AnyEvent, announced: list[str], seconds: float
    ) -> None:
        self.processed_events.append((event.type, announced))

    def repeated(self, consumer: str, delivery: Delivery, event: AnyEvent) -> None:
        self.repeated_events.append(event)

    def failed(self, consumer: str, delivery: Delivery, event: AnyEvent | None, failure: DeliveryFailure) -> None:
        self.failures.append((failure.text, failure.attempts, failure.parked))
        self.failure_reasons.append(failure.reason)
        self._last_failures[failure.key] = (failure.text, failure.attempts)

    def connected(self, component: str, certificate_expires_at: float | None) -> None:
        self.connections.append((component, certificate_expires_at))

    def status(self, component: str, text: str, *, degraded: bool = True) -> None:
        self.statuses.append(f"{component}: {text}")

    def circuit_breaker(self, name: str, state: BreakerState, text: str) -> None:
        self.breaker_states.append((name, state))
