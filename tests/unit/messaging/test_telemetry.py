"""Log events reach the standard library's logger, or the logger that the program chooses."""

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

import msgspec
import pytest
import structlog
from structlog.testing import capture_logs

from tests.events import payment_success
from warren_messaging.amqp.pipeline import PublishResult
from warren_messaging.failure import DeliveryFailure, FailureReason
from warren_messaging.telemetry import BreakerState, LogTelemetry, Telemetry, TelemetryFanout
from warren_messaging.testing import delivery_of

EVENT = payment_success(uuid4())
DELIVERY = delivery_of(EVENT)
FAILURE = DeliveryFailure(
    reason=FailureReason.PERMANENT, text="no\nservice=x y", key="k", attempts=1, parked=True, seconds=0.1
)


def test_a_log_event_is_one_line_with_its_fields(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "warren_messaging")
    LogTelemetry().processed("payment", DELIVERY, EVENT, [], 0.0031)
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("warren_messaging", "INFO")
    ids = f"subject={EVENT.subject} event_id={EVENT.id}"
    assert record.getMessage() == f"delivery processed event_type=payment.success reference=A-1 {ids} ms=3.1"
    assert (record.event, record.reference) == ("delivery processed", "A-1")


def test_every_line_about_a_message_names_its_order_event_and_trace() -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    event = msgspec.structs.replace(EVENT, traceparent=f"00-{trace}-b7ad6b7169203331-01")
    telemetry = LogTelemetry(structlog.get_logger)
    with capture_logs() as lines:
        telemetry.published(event, "orders", PublishResult.CONFIRMED, 0.0)
        telemetry.published(event, "orders", PublishResult.RETURNED, 0.0)
        telemetry.processed("payment", DELIVERY, event, ["order.paid"], 0.0)
        telemetry.repeated("payment", DELIVERY, event)
        telemetry.failed("payment", DELIVERY, event, FAILURE)
    expected = {
        "event_type": "payment.success",
        "reference": "A-1",
        "subject": str(event.subject),
        "event_id": str(event.id),
        "trace_id": trace,
    }
    assert len(lines) == 5
    assert [line for line in lines if line != line | expected] == []


def test_a_value_forges_neither_a_field_nor_a_line(caplog: pytest.LogCaptureFixture) -> None:
    LogTelemetry().failed("q", DELIVERY, None, FAILURE)
    assert caplog.records[0].getMessage() == r"delivery parked consumer=q key=k reason='no\nservice=x y' attempts=1"


def test_successes_cost_no_line_when_the_level_is_higher(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "warren_messaging")
    telemetry = LogTelemetry()
    telemetry.published(EVENT, "orders", PublishResult.CONFIRMED, 0.0)
    telemetry.processed("payment", DELIVERY, EVENT, [], 0.0)
    telemetry.repeated("payment", DELIVERY, EVENT)
    assert caplog.records == []
    telemetry.published(EVENT, "orders", PublishResult.RETURNED, 0.0)
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_a_logger_of_structlog_gets_the_fields() -> None:
    with capture_logs() as lines:
        LogTelemetry(lambda: structlog.get_logger(service="payment")).status("relay", "broker unavailable")
    assert lines == [
        {"event": "broker unavailable", "component": "relay", "service": "payment", "log_level": "warning"}
    ]


CALLS: dict[str, Callable[[Telemetry], Any]] = {
    "committed": lambda to: to.committed(None, [EVENT]),  # type: ignore[arg-type]
    "published": lambda to: to.published(EVENT, "orders", PublishResult.CONFIRMED, 0.1),
    "received": lambda to: to.received("payment", [DELIVERY]),
    "processed": lambda to: to.processed("payment", DELIVERY, EVENT, ["order.paid"], 0.1),
    "repeated": lambda to: to.repeated("payment", DELIVERY, EVENT),
    "failed": lambda to: to.failed("payment", DELIVERY, EVENT, FAILURE),
    "connected": lambda to: to.connected("relay", 1.5),
    "status": lambda to: to.status("relay", "works", degraded=False),
    "circuit_breaker": lambda to: to.circuit_breaker("gateway", BreakerState.OPEN, "refused"),
}


class Failing(Telemetry):
    """Fails at each call, after it has recorded it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any, Any]] = []

    def __getattribute__(self, name: str) -> Any:
        if name not in CALLS:
            return super().__getattribute__(name)

        def call(*arguments: Any, **options: Any) -> None:
            self.calls.append((name, arguments, options))
            raise RuntimeError("broken")

        return call


def test_every_call_reaches_every_listener_and_an_error_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    assert set(CALLS) == {name for name in vars(Telemetry) if not name.startswith("_")}
    first, second = Failing(), Failing()
    fanout = TelemetryFanout(first, second)
    for call in [*CALLS.values(), *CALLS.values()]:
        with suppress(RuntimeError):
            call(fanout)
    assert [name for name, _, _ in first.calls] == [*CALLS, *CALLS]
    assert second.calls == first.calls
    assert first.calls[7] == ("status", ("relay", "works"), {"degraded": False})
    assert len(caplog.records) == 2 * len(CALLS)
    assert caplog.records[0].getMessage() == "Failing.committed failed; this is logged once"
    assert caplog.records[0].exc_info
