"""Where the library tells what it does. Logs are one listener; metrics and traces are others."""

import logging
from functools import cached_property
from typing import Any, Protocol

import structlog

from warren_messaging.amqp.pipeline import PublishResult
from warren_messaging.events import AnyEvent


class Telemetry(Protocol):
    """All calls are made on the hot path: they must not block or raise."""

    def published(self, event: AnyEvent, result: PublishResult) -> None:
        """The broker has answered for one event."""

    def processed(self, consumer: str, event: AnyEvent, effects: list[str], seconds: float) -> None:
        """A delivery's transaction is committed; `effects` are the event types it led to."""

    def repeated(self, consumer: str, event: AnyEvent) -> None:
        """A delivery had been processed before and changed nothing."""

    def failed(self, consumer: str, key: str, reason: str, attempts: int, *, parked: bool) -> None:
        """A delivery failed; it is parked, or will be tried again."""

    def status(self, component: str, text: str, *, degraded: bool = True) -> None:
        """Something that an operator should read: a server is away, or all is well again."""


class LogTelemetry:
    """Readable lines: what came in, what it led to, for which order."""

    def __init__(self, service: str) -> None:
        self._service = service

    @cached_property
    def _log(self) -> Any:
        """Bound at the first line, when logging is set up; binding for each line costs more than most lines."""
        return structlog.get_logger(service=self._service).bind()

    @cached_property
    def _logs_info(self) -> bool:
        return bool(self._log.is_enabled_for(logging.INFO))

    def published(self, event: AnyEvent, result: PublishResult) -> None:
        if result is PublishResult.CONFIRMED:
            if self._logs_info:
                self._log.info("published", event_type=event.type, order=event.reference or str(event.subject))
        else:
            self._log.error(
                f"{result.name.lower()} by the broker, kept in the outbox",
                event_type=event.type,
                order=event.reference or str(event.subject),
                id=str(event.id),
            )

    def processed(self, consumer: str, event: AnyEvent, effects: list[str], seconds: float) -> None:
        if not self._logs_info:
            return
        self._log.info(
            "processed",
            event_type=event.type,
            led_to=",".join(effects) or None,
            order=event.reference or str(event.subject),
            ms=round(seconds * 1000, 1),
        )

    def repeated(self, consumer: str, event: AnyEvent) -> None:
        self._log.info("repeated, no effect", event_type=event.type, order=event.reference or str(event.subject))

    def failed(self, consumer: str, key: str, reason: str, attempts: int, *, parked: bool) -> None:
        text = "parked" if parked else "failed, will be tried again"
        self._log.warning(text, consumer=consumer, key=key, reason=reason, attempts=attempts)

    def status(self, component: str, text: str, *, degraded: bool = True) -> None:
        (self._log.warning if degraded else self._log.info)(text, component=component)


class TelemetryFanout:
    """Tells each of several listeners, in their order."""

    def __init__(self, *listeners: Telemetry) -> None:
        self._listeners = listeners

    def published(self, event: AnyEvent, result: PublishResult) -> None:
        for listener in self._listeners:
            listener.published(event, result)

    def processed(self, consumer: str, event: AnyEvent, effects: list[str], seconds: float) -> None:
        for listener in self._listeners:
            listener.processed(consumer, event, effects, seconds)

    def repeated(self, consumer: str, event: AnyEvent) -> None:
        for listener in self._listeners:
            listener.repeated(consumer, event)

    def failed(self, consumer: str, key: str, reason: str, attempts: int, *, parked: bool) -> None:
        for listener in self._listeners:
            listener.failed(consumer, key, reason, attempts, parked=parked)

    def status(self, component: str, text: str, *, degraded: bool = True) -> None:
        for listener in self._listeners:
            listener.status(component, text, degraded=degraded)
