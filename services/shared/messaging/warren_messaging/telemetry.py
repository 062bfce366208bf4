"""The interface through which the library reports its work, and the implementation for logs."""

import logging
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import cached_property
from typing import Protocol

from warren_messaging.amqp.pipeline import PublishResult
from warren_messaging.codec import uuid_text
from warren_messaging.delivery import Delivery
from warren_messaging.events import AnyEvent
from warren_messaging.failure import DeliveryFailure
from warren_messaging.tracing import trace_id_of
from warren_messaging.transaction import Transaction

_logger = logging.getLogger("warren_messaging")


class BreakerState(StrEnum):
    """The state of a circuit breaker."""

    CLOSED = "closed"
    """Calls are made."""
    OPEN = "open"
    """No call is made."""
    HALF_OPEN = "half-open"
    """One trial call decides between open and closed."""


class Telemetry:
    """A listener, which does nothing. A subclass defines the methods that it needs.

    They must not block: the calls are made for each message. An error changes nothing about the work; see
    TelemetryFanout.
    """

    def committed(self, transaction: Transaction, events: Sequence[AnyEvent]) -> None:
        """A transaction has committed with these events, at least one; they are published next.

        Each event is reported once, by the process that announced it, unless that process ends, or loses the database,
        at the commit.
        """

    def published(self, event: AnyEvent, exchange: str, result: PublishResult, seconds: float) -> None:
        """The broker has confirmed, returned or refused one event, `seconds` after it was written."""

    def received(self, consumer: str, deliveries: Sequence[Delivery]) -> None:
        """A consumer begins to process deliveries of its queue."""

    def processed(
        self, consumer: str, delivery: Delivery, event: AnyEvent, announced: list[str], seconds: float
    ) -> None:
        """The transaction of a delivery has committed; `announced` has the types of its events."""

    def repeated(self, consumer: str, delivery: Delivery, event: AnyEvent) -> None:
        """A delivery was a repetition and changed nothing."""

    def failed(self, consumer: str, delivery: Delivery, event: AnyEvent | None, failure: DeliveryFailure) -> None:
        """A delivery failed; it is parked, or will be retried. `event` is None if its body cannot be read."""

    def connected(self, component: str, certificate_expires_at: float | None) -> None:
        """A component has connected to the broker. The expiry of its certificate is in Unix seconds, None without TLS.

        The first call for a component is its first connection. Each further one replaces a connection that was lost,
        or that used replaced credentials.
        """

    def status(self, component: str, text: str, *, degraded: bool = True) -> None:
        """A component is degraded (a server is unavailable), or works again. `text` is for an operator."""

    def circuit_breaker(self, name: str, state: BreakerState, text: str) -> None:
        """A circuit breaker has changed its state. `text` is for an operator."""


class StructuredLog(Protocol):
    """Writes log events with fields. A bound logger of structlog is one."""

    def is_enabled_for(self, level: int) -> bool: ...

    def info(self, event: str, **fields: object) -> object: ...

    def warning(self, event: str, **fields: object) -> object: ...

    def error(self, event: str, **fields: object) -> object: ...


class StandardLog:
    """Writes `event key=value …` to the standard library's logger `warren_messaging`, with the fields as `extra`."""

    def is_enabled_for(self, level: int) -> bool:
        return _logger.isEnabledFor(level)

    def info(self, event: str, **fields: object) -> None:
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, **fields: object) -> None:
        self._write(logging.ERROR, event, fields)

    def _write(self, level: int, event: str, fields: dict[str, object]) -> None:
        if _logger.isEnabledFor(level):
            given = {key: value for key, value in fields.items() if value is not None}
            line = " ".join([event, *(f"{key}={_quoted(value)}" for key, value in given.items())])
            _logger.log(level, "%s", line, extra={"event": event, **given})


def _quoted(value: object) -> str:
    """Values can come from messages: one with blanks or unprintable characters cannot forge a field or a line."""
    text = str(value)
    return text if text.isprintable() and " " not in text else repr(text)


def _message_fields(event: AnyEvent) -> dict[str, str | None]:
    """The fields of every line about a message. None of its data is logged."""
    return {
        "reference": event.reference,
        "subject": uuid_text(event.subject),
        "event_id": uuid_text(event.id),
        "trace_id": trace_id_of(event.traceparent),
    }


class LogTelemetry(Telemetry):
    """Writes one log event for each call, to the log that `open_log` returns at the first one.

    Each line about a message has the fields `event_type`, `reference`, `subject`, `event_id` and `trace_id`; those that
    it does not have are None.
    """

    def __init__(self, open_log: Callable[[], StructuredLog] = StandardLog) -> None:
        self._open_log = open_log

    @cached_property
    def _log(self) -> StructuredLog:
        """Opened at the first event, after logging is configured; opening it for each event is expensive."""
        return self._open_log()

    @cached_property
    def _logs_info(self) -> bool:
        return self._log.is_enabled_for(logging.INFO)

    def published(self, event: AnyEvent, exchange: str, result: PublishResult, seconds: float) -> None:
        if result is PublishResult.CONFIRMED:
            if self._logs_info:
                self._log.info("event published", event_type=event.type, **_message_fields(event))
        else:
            self._log.error(f"event {result.name.lower()}", event_type=event.type, **_message_fields(event))

    def processed(
        self, consumer: str, delivery: Delivery, event: AnyEvent, announced: list[str], seconds: float
    ) -> None:
        if not self._logs_info:
            return
        self._log.info(
            "delivery processed",
            event_type=event.type,
            announced=",".join(announced) or None,
            **_message_fields(event),
            ms=round(seconds * 1000, 1),
        )

    def repeated(self, consumer: str, delivery: Delivery, event: AnyEvent) -> None:
        if self._logs_info:
            self._log.info("delivery repeated", event_type=event.type, **_message_fields(event))

    def failed(self, consumer: str, delivery: Delivery, event: AnyEvent | None, failure: DeliveryFailure) -> None:
        text = "delivery parked" if failure.parked else "delivery failed"
        fields = {} if event is None else {"event_type": event.type, **_message_fields(event)}
        self._log.warning(
            text, **fields, consumer=consumer, key=failure.key, reason=failure.text, attempts=failure.attempts
        )

    def status(self, component: str, text: str, *, degraded: bool = True) -> None:
        (self._log.warning if degraded else self._log.info)(text, component=component)

    def circuit_breaker(self, name: str, state: BreakerState, text: str) -> None:
        write = self._log.warning if state is BreakerState.OPEN else self._log.info
        write(f"circuit breaker {state}", breaker=name, reason=text)


class TelemetryFanout(Telemetry):
    """Forwards each call to several listeners, in their order.

    A listener that raises stops neither the others nor the work that is reported. Its error is logged by the standard
    library's logger `warren_messaging`, with its traceback: once for each method of a listener.
    """

    def __init__(self, *listeners: Telemetry) -> None:
        self._listeners = list(listeners)
        self._logged: set[tuple[int, str]] = set()

    def add(self, listener: Telemetry) -> None:
        """Forward to one more listener, after the others."""
        self._listeners.append(listener)

    def committed(self, transaction: Transaction, events: Sequence[AnyEvent]) -> None:
        self._forward("committed", transaction, events)

    def published(self, event: AnyEvent, exchange: str, result: PublishResult, seconds: float) -> None:
        self._forward("published", event, exchange, result, seconds)

    def received(self, consumer: str, deliveries: Sequence[Delivery]) -> None:
        self._forward("received", consumer, deliveries)

    def processed(
        self, consumer: str, delivery: Delivery, event: AnyEvent, announced: list[str], seconds: float
    ) -> None:
        self._forward("processed", consumer, delivery, event, announced, seconds)

    def repeated(self, consumer: str, delivery: Delivery, event: AnyEvent) -> None:
        self._forward("repeated", consumer, delivery, event)

    def failed(self, consumer: str, delivery: Delivery, event: AnyEvent | None, failure: DeliveryFailure) -> None:
        self._forward("failed", consumer, delivery, event, failure)

    def connected(self, component: str, certificate_expires_at: float | None) -> None:
        self._forward("connected", component, certificate_expires_at)

    def status(self, component: str, text: str, *, degraded: bool = True) -> None:
        self._forward("status", component, text, degraded=degraded)

    def circuit_breaker(self, name: str, state: BreakerState, text: str) -> None:
        self._forward("circuit_breaker", name, state, text)

    def _forward(self, method: str, *arguments: object, **options: object) -> None:
        for listener in self._listeners:
            try:
                getattr(listener, method)(*arguments, **options)
            except Exception:
                if (key := (id(listener), method)) not in self._logged:
                    self._logged.add(key)
                    _logger.exception("%s.%s failed; this is logged once", type(listener).__qualname__, method)
