"""The export of spans over real OTLP, from a process of its own: a process has one tracer provider."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from devtools.paths import CHECKOUT
from warren.sinks.jaeger_form import jaeger_trace
from warren.sinks.traces import TraceSink

PROGRAM = """
import json, logging, sys, time
logging.basicConfig(stream=sys.stderr)
from services.shared.chassis import tracing
from warren_messaging.amqp.pipeline import PublishResult
from warren_messaging.amqp.spans import PublishSpans
from warren_messaging.errors import ConfigurationError
try:
    with tracing.exported("order-api"):
        began = time.perf_counter()
        for number in range(int(sys.argv[1])):
            with PublishSpans() as spans:
                spans.start("shop", "paid", None, str(number), (sys.argv[2:] or ["order-7"])[0])
                spans.end([PublishResult.CONFIRMED])
        worked = time.perf_counter() - began
        ended = time.perf_counter()
    closing, sdk = time.perf_counter() - ended, "opentelemetry.sdk" in sys.modules
    print(json.dumps({"worked": worked, "closing": closing, "sdk": sdk}))
except ConfigurationError as error:
    print(json.dumps({"error": str(error)}))
"""


def run(spans: int = 1, *subjects: str, **environment: str) -> dict[str, Any]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    path = os.pathsep.join(str(CHECKOUT / part) for part in (".", "services/shared/messaging"))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(spans), *subjects],
        env=inherited | {"PYTHONPATH": path} | environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return dict(json.loads(done.stdout))


@pytest.fixture
def sink() -> Iterator[TraceSink]:
    sink = TraceSink()
    sink.start()
    yield sink
    sink.stop()


def received(sink: TraceSink) -> list[Any]:
    return [jaeger_trace(trace_id, spans) for trace_id, spans in sink.store.newest()]


def test_without_an_endpoint_no_sdk_is_loaded() -> None:
    assert run()["sdk"] is False
    assert run(OTEL_EXPORTER_OTLP_ENDPOINT="")["sdk"] is False


def test_spans_name_their_process_and_their_order(sink: TraceSink) -> None:
    run(OTEL_EXPORTER_OTLP_ENDPOINT=sink.url, OTEL_TRACES_SAMPLER_ARG="1")
    (trace,) = received(sink)
    (process,) = trace.processes.values()
    assert process.service_name == "order-api"
    assert {tag.key for tag in process.tags} >= {"service.version", "service.instance.id"}
    tags = {tag.key: tag.value for tag in trace.spans[0].tags}
    assert (tags["warren.order.id"], tags["messaging.destination.name"]) == ("order-7", "shop:paid")


def test_the_environment_has_precedence_over_the_name_of_the_process(sink: TraceSink) -> None:
    attributes = "service.instance.id=pod-1,service.namespace=warren"
    run(
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{sink.url}/v1/traces",
        OTEL_TRACES_SAMPLER="always_on",
        OTEL_SERVICE_NAME="other",
        OTEL_RESOURCE_ATTRIBUTES=attributes,
    )
    (process,) = received(sink)[0].processes.values()
    assert process.service_name == "other"
    assert {(tag.key, tag.value) for tag in process.tags} >= {
        ("service.instance.id", "pod-1"),
        ("service.namespace", "warren"),
    }


def test_a_long_value_displaces_no_other_span(sink: TraceSink) -> None:
    """A client chooses the path of its request: 512 long ones would be more than a collector takes at once."""
    run(512, "x" * 20_000, OTEL_EXPORTER_OTLP_ENDPOINT=sink.url, OTEL_TRACES_SAMPLER_ARG="1")
    found = received(sink)
    assert len(found) == 512
    assert {len(tag.value) for trace in found for tag in trace.spans[0].tags if tag.key == "warren.order.id"} == {1024}


def test_a_tenth_of_the_traces_is_recorded_by_default(sink: TraceSink) -> None:
    run(1000, OTEL_EXPORTER_OTLP_ENDPOINT=sink.url)
    assert 50 < len(received(sink)) < 170


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "http://192.0.2.1:4318"], ids=["refused", "silent"])
def test_an_endpoint_that_does_not_answer_delays_nothing(endpoint: str) -> None:
    began = time.perf_counter()
    result = run(3000, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_TRACES_SAMPLER_ARG="1", OTEL_BSP_SCHEDULE_DELAY="50")
    assert result["closing"] < 5, "the process waits 1.5 s for the last export"
    assert result["worked"] < 10, "3,000 spans take a tenth of a second"
    assert time.perf_counter() - began < 40


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT is not an address such as"),
        ({"OTEL_TRACES_SAMPLER_ARG": "10%"}, "OTEL_TRACES_SAMPLER_ARG=10% is not a number from 0 to 1"),
        ({"OTEL_TRACES_SAMPLER_ARG": "2"}, "OTEL_TRACES_SAMPLER_ARG=2 is not a number from 0 to 1"),
        (
            {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "9999"},
            "a variable OTEL_… of the SDK has an invalid value: max",
        ),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc is not supported"),
    ],
)
def test_a_wrong_setting_is_an_error(settings: dict[str, str], reason: str) -> None:
    assert run(**({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"} | settings))["error"].startswith(reason)
