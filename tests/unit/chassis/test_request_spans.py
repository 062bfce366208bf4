"""The spans of HTTP requests, after OpenTelemetry's conventions."""

from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar, get, post
from litestar.params import FromPath
from litestar.testing import TestClient
from opentelemetry.trace import SpanKind, StatusCode

from services.shared.chassis.http.request_spans import CALLERS_PER_SECOND, RequestSpans
from services.shared.chassis.http.trace_context import traceparent_of
from tests.recorded_spans import (
    PARENT,
    TRACE,
    UNSAMPLED,
    RecordedSpans,
    context_of,
    links_of,
    parent_of,
    recorded_spans,
)


@get("/things/{number:int}")
async def find(number: FromPath[int]) -> str:
    if number == 0:
        raise RuntimeError("broken")
    return traceparent_of({}) or "no span"


@post("/things", status_code=202)
async def add() -> None: ...


@pytest.fixture
def spans() -> Iterator[RecordedSpans]:
    with recorded_spans() as spans:
        yield spans


@pytest.fixture
def client() -> Iterator[TestClient[Any]]:
    with TestClient(RequestSpans(Litestar([find, add])), raise_server_exceptions=False) as client:  # type: ignore[arg-type]
        yield client


def test_a_request_has_a_span_named_after_its_route(client: TestClient[Any], spans: RecordedSpans) -> None:
    assert client.get("/things/7?customer=ada", headers={"traceparent": PARENT}).status_code == 200
    span = spans.one("GET ")
    assert (span.name, span.kind, parent_of(span)) == ("GET /things/{number}", SpanKind.SERVER, PARENT)
    assert dict(span.attributes or {}) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": "/things/{number}",
        "network.protocol.version": "1.1",
        "url.path": "/things/7",
        "url.scheme": "http",
    }
    assert span.status.status_code is StatusCode.UNSET


def test_the_events_of_a_request_continue_from_its_span(client: TestClient[Any], spans: RecordedSpans) -> None:
    context = client.get("/things/7", headers={"traceparent": PARENT}).text
    assert context == context_of(spans.one("GET "))


def test_a_request_without_a_valid_context_begins_a_trace(client: TestClient[Any], spans: RecordedSpans) -> None:
    client.post("/things")
    client.post("/things", headers={"traceparent": "invalid"})
    assert [parent_of(span) for span in spans.all("POST /things")] == [None, None]


def test_a_request_whose_trace_is_not_recorded_passes_that_on(client: TestClient[Any], spans: RecordedSpans) -> None:
    context = client.get("/things/7", headers={"traceparent": UNSAMPLED}).text
    assert spans.all() == []
    assert context.startswith(UNSAMPLED[:36]) and context.endswith("-00")


def test_callers_decide_about_ten_requests_a_second_and_the_sampler_about_the_rest(spans: RecordedSpans) -> None:
    now = [0.0]
    application = RequestSpans(Litestar([find]), lambda: now[0])  # type: ignore[arg-type]
    with TestClient(application) as client:
        for at in [*[0.0] * (CALLERS_PER_SECOND + 2), 0.11, 0.12]:
            now[0] = at
            client.get("/things/7", headers={"traceparent": PARENT})
        client.get("/things/7", headers={"traceparent": UNSAMPLED})
    found = spans.all("GET ")
    assert [parent_of(span) for span in found] == [PARENT] * CALLERS_PER_SECOND + [None, None, PARENT, None]
    begun = [span for span in found if span.parent is None]
    assert [links_of(span) for span in begun] == [[PARENT]] * 3
    assert TRACE not in {context_of(span).split("-")[1] for span in begun}


def test_failures_of_the_server_are_errors_and_those_of_the_client_are_not(
    client: TestClient[Any], spans: RecordedSpans
) -> None:
    client.get("/things/0")
    client.get("/nothing")
    client.request("BREW", "/things")
    failed, unknown, brew = spans.all()
    assert (failed.status.status_code, (failed.attributes or {})["error.type"]) == (StatusCode.ERROR, "500")
    assert (unknown.name, unknown.status.status_code) == ("GET", StatusCode.UNSET)
    assert (brew.name, (brew.attributes or {})["http.request.method"]) == ("HTTP", "_OTHER")
