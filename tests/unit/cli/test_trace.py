"""`warren trace` with an in-memory order API and audit log, and a real trace store."""

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from warren import cli, client
from warren.http import HttpResponse
from warren.sinks.sms import SmsSink
from warren.sinks.traces import TraceSink

ORDER = uuid.UUID("0192f3c4-0000-7000-8000-00000000abcd")
EVENT = uuid.UUID("0192f3c4-0000-7000-8000-000000000001")
TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
SECOND = 1_000_000_000
START = 1_763_812_800 * SECOND  # 2025-11-22T12:00:00Z


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the services answer; the test changes it."""
    order = {
        "id": str(ORDER),
        "orderId": "k1",
        "customer": "ada",
        "state": "COMPLETED",
        "reason": None,
        "totalCents": 1,
        "currency": "EUR",
        "version": 1,
        "createdAt": "2025-11-22T12:00:00Z",
        "updatedAt": None,
    }
    event = {
        "id": str(EVENT),
        "time": "2025-11-22T12:00:00Z",
        "type": "order.created",
        "source": "/warren/order",
        "traceparent": f"00-{TRACE}-{SPAN}-01",
    }
    answers: dict[str, Any] = {"order": order, "event": event, "audit": 200}

    def request(method: str, url: str, **_: Any) -> HttpResponse:
        if urlsplit(url).path.startswith("/audit/"):
            body = {"events": [{"event": answers["event"]}]}
            return HttpResponse(url, answers["audit"], json.dumps(body).encode())
        return HttpResponse(url, 200, json.dumps({"orders": [answers["order"]]}).encode())

    monkeypatch.setattr(client, "request", request)
    monkeypatch.setenv("WARREN_URL", "http://shop")
    monkeypatch.setenv("WARREN_AUDIT_URL", "http://audit")
    monkeypatch.delenv("WARREN_TRACES_URL", raising=False)
    return answers


@pytest.fixture
def store() -> Iterator[TraceSink]:
    with TraceSink() as sink:
        request = ExportTraceServiceRequest()
        sender = request.resource_spans.add()
        sender.resource.attributes.add(key="service.name").value.string_value = "order-worker"
        span = sender.scope_spans.add().spans.add(
            trace_id=bytes.fromhex(TRACE),
            span_id=bytes.fromhex(SPAN),
            name="publish order.exchange:order.created",
            kind=Span.SPAN_KIND_PRODUCER,
            start_time_unix_nano=START + SECOND // 2,
            end_time_unix_nano=START + 2 * SECOND,
        )
        for key, value in {
            "messaging.operation.name": "publish",
            "messaging.destination.name": "order.exchange:order.created",
            "messaging.message.id": str(EVENT),
            "messaging.message.conversation_id": str(ORDER),
        }.items():
            span.attributes.add(key=key).value.string_value = value
        sink.store.add(request)
        yield sink


@pytest.fixture
def other() -> Iterator[SmsSink]:
    with SmsSink() as sink:
        yield sink


@pytest.fixture
def trace(shop: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs `warren trace k1`; gives exit code, output and errors."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = cli.load(["trace", "k1", *arguments])()
        return code, *capsys.readouterr()

    return run


Trace = Callable[..., tuple[int, str, str]]


def test_spans_and_events_are_one_timeline(trace: Trace, store: TraceSink) -> None:
    code, printed, remarks = trace("--traces-url", store.url)
    assert (code, remarks) == (0, "")
    assert f"trace {TRACE}, 1 span\n" in printed
    assert "→ order.created  500 ms  1.50 s" in printed
    code, printed, _ = trace("--traces-url", store.url, "--json")
    document = json.loads(printed)
    assert document["order"]["orderId"] == "k1"
    assert document["traces"] == [TRACE]
    [activity] = document["activities"]
    assert (activity["kind"], activity["waited"], activity["queue"]) == ("publish", 0.5, "outbox")
    assert [step["state"] for step in document["steps"]] == ["PENDING"]
    assert document["remarks"] == []


def test_spans_of_other_orders_in_the_trace_of_a_client_are_left_out(trace: Trace, store: TraceSink) -> None:
    """The client places two orders in one trace. A call in the middle of a delivery names no order."""
    for number, (order, parent, operation) in enumerate(
        [(str(uuid.uuid4()), b"", "publish"), (None, b"\0" * 7 + b"\1", "call"), (None, bytes.fromhex(SPAN), "call")], 1
    ):
        request = ExportTraceServiceRequest()
        span = (
            request.resource_spans.add()
            .scope_spans.add()
            .spans.add(
                trace_id=bytes.fromhex(TRACE),
                span_id=number.to_bytes(8, "big"),
                parent_span_id=parent,
                name=f"{operation} {number}",
                kind=Span.SPAN_KIND_CLIENT,
                start_time_unix_nano=START + SECOND,
                end_time_unix_nano=START + SECOND,
            )
        )
        if order:
            span.attributes.add(key="messaging.message.conversation_id").value.string_value = order
        assert store.store.add(request) == {}
    code, printed, _ = trace("--traces-url", store.url)
    assert (code, f"trace {TRACE}, 2 spans\n" in printed) == (0, True)
    assert "call 3" in printed and "call 2" not in printed and "publish 1" not in printed


def test_a_time_that_cannot_be_is_an_error_and_the_events_are_shown(trace: Trace, store: TraceSink) -> None:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(
        trace_id=bytes.fromhex(TRACE), span_id=b"12345678", start_time_unix_nano=2**64 - 1
    )
    store.store.add(request)
    code, printed, remarks = trace("--traces-url", store.url)
    assert (code, "order.created" in printed) == (0, True)
    assert "the spans are missing" in remarks


@pytest.mark.parametrize(
    ("traceparent", "remark"),
    [
        (f"00-{TRACE}-{SPAN}-00", "the order was not sampled"),
        (None, "no event has a trace context"),
        ("nonsense", "no event has a trace context"),
        (f"00-{'1' * 32}-{SPAN}-01", f"has no trace {'1' * 32}: it is too old"),
    ],
)
def test_missing_spans_have_a_reason_and_the_events_are_shown(
    trace: Trace, shop: dict[str, Any], store: TraceSink, traceparent: str | None, remark: str
) -> None:
    shop["event"]["traceparent"] = traceparent
    code, printed, remarks = trace("--traces-url", store.url)
    assert code == 0
    assert "→ order.created" in printed
    assert remark in remarks
    assert json.loads(trace("--traces-url", store.url, "--json")[1])["remarks"] != []


def test_without_a_store_and_with_one_that_does_not_answer_the_events_are_shown(trace: Trace) -> None:
    code, printed, remarks = trace()
    assert (code, "→ order.created" in printed, "--traces-url" in remarks) == (0, True, True)
    code, printed, remarks = trace("--traces-url", "http://127.0.0.1:1")
    assert (code, "→ order.created" in printed) == (0, True)
    assert "the trace store http://127.0.0.1:1 cannot be reached" in remarks


def test_without_the_audit_log_the_store_finds_the_order(trace: Trace, shop: dict[str, Any], store: TraceSink) -> None:
    shop["audit"] = 503
    code, printed, remarks = trace("--traces-url", store.url)
    assert (code, "→ order.created" in printed) == (0, True)
    assert "the events of the audit log are missing" in remarks


def test_an_order_of_which_nothing_is_known_is_an_error(
    trace: Trace, shop: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WARREN_AUDIT_URL")
    code, printed, errors = trace()
    assert (code, printed) == (1, "")
    assert "order k1 has neither events nor spans" in errors
    assert "WARREN_AUDIT_URL" in errors
    assert "--traces-url" in errors


def test_a_server_that_is_no_trace_store_is_named(trace: Trace, store: TraceSink, other: SmsSink) -> None:
    _, _, remarks = trace("--traces-url", f"{store.url}/v1")
    assert f"{store.url}/v1/api/traces/{TRACE} answered 404: see /api/services" in remarks
    _, _, remarks = trace("--traces-url", f"{other.url.removesuffix('/messages')}")
    assert "is this the query API of Jaeger?" in remarks
