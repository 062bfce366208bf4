"""Telemetry that remembers what a harness reports."""

from collections.abc import Iterable

from warren_messaging.amqp.pipeline import PublishResult
from warren_messaging.events import AnyEvent
from warren_messaging.telemetry import Telemetry


class RecordingTelemetry(Telemetry):
    def __init__(self) -> None:
        self.repeated_events: list[AnyEvent] = []
        self._failures: dict[str, tuple[str, int]] = {}

    def failure(self, keys: Iterable[str]) -> tuple[str, int]:
        """Reason and count of the last failure that was recorded under one of the keys."""
        return next(self._failures[key] for key in keys if key in self._failures)

    def repeated(self, consumer: str, event: AnyEvent) -> None:
        self.repeated_events.append(event)

    def failed(self, consumer: str, key: str, reason: str, attempts: int, *, parked: bool) -> None:
        self._failures[key] = (reason, attempts)

    def published(self, event: AnyEvent, result: PublishResult) -> None:
        """There is nobody to answer."""

    def processed(self, consumer: str, event: AnyEvent, effects: list[str], seconds: float) -> None:
        """The verdicts say it."""

    def status(self, component: str, text: str, *, degraded: bool = True) -> None:
        """Nothing is ever away."""
