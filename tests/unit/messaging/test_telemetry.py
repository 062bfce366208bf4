"""Log events reach the standard library's logger, or the logger that the program chooses."""

import logging
from uuid import uuid4

import pytest
import structlog
from structlog.testing import capture_logs

from tests.events import payment_success
from warren_messaging.amqp.pipeline import PublishResult
from warren_messaging.telemetry import LogTelemetry

EVENT = payment_success(uuid4())


def test_a_log_event_is_one_line_with_its_fields(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "warren_messaging")
    LogTelemetry().processed("payment.queue", EVENT, [], 0.0031)
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("warren_messaging", "INFO")
    assert record.getMessage() == "delivery processed event_type=payment.success subject=A-1 ms=3.1"
    assert (record.event, record.subject) == ("delivery processed", "A-1")


def test_a_value_forges_neither_a_field_nor_a_line(caplog: pytest.LogCaptureFixture) -> None:
    LogTelemetry().failed("q", "k", "no\nservice=x y", 1, parked=True)
    assert caplog.records[0].getMessage() == r"delivery parked consumer=q key=k reason='no\nservice=x y' attempts=1"


def test_successes_cost_no_line_when_the_level_is_higher(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "warren_messaging")
    telemetry = LogTelemetry()
    telemetry.published(EVENT, PublishResult.CONFIRMED)
    telemetry.processed("payment.queue", EVENT, [], 0.0)
    telemetry.repeated("payment.queue", EVENT)
    assert caplog.records == []
    telemetry.published(EVENT, PublishResult.RETURNED)
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_a_logger_of_structlog_gets_the_fields() -> None:
    with capture_logs() as lines:
        LogTelemetry(lambda: structlog.get_logger(service="payment")).status("relay", "broker unavailable")
    assert lines == [
        {"event": "broker unavailable", "component": "relay", "service": "payment", "log_level": "warning"}
    ]
