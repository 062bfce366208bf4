"""The trace of one order, as the trace store received it over OTLP."""

import time
from collections.abc import Callable, Set
from typing import Any
from uuid import UUID

import httpx
import msgspec

from faults.harness import FaultHarness
from services.registry import PROCESSES
from warren.jaeger import JaegerClient, JaegerTrace

QUIET_SECONDS = 1.5  # without a new span, while processes export every half a second


class TracedSpan(msgspec.Struct, frozen=True):
    service: str
    name: str
    kind: str | None
    id: str
    parent: str | None
    links: list[str]
    """Ids of linked spans."""
    tags: dict[str, Any]
    start: int
    """Microseconds since 1970."""

    @property
    def outcome(self) -> str | None:
        return self.tags.get("warren.outcome")


class OrderTrace:
    """All spans about an order, which must be one connected trace."""

    def __init__(self, order_id: UUID, spans: list[TracedSpan]) -> None:
        self.order_id = order_id
        self.spans = spans
        self.by_id = {span.id: span for span in spans}

    def named(self, name: str, service: str | None = None) -> list[TracedSpan]:
        """Return the spans whose names begin with `name`, by their start."""
        return [span for span in self.spans if span.name.startswith(name) and service in {None, span.service}]

    def one(self, name: str, service: str | None = None) -> TracedSpan:
        found = self.named(name, service)
        assert len(found) == 1, (name, self.text())
        return found[0]

    def parent(self, span: TracedSpan) -> TracedSpan:
        assert span.parent is not None, span
        return self.by_id[span.parent]

    def below(self, span: TracedSpan) -> list[TracedSpan]:
        return [each for each in self.spans if each.parent == span.id]

    def text(self) -> str:
        """Return the trace as an indented tree."""

        def lines(span: TracedSpan, depth: int) -> list[str]:
            own = f"{'  ' * depth}{span.service}: {span.name} {span.outcome or ''}"
            return [own, *(line for each in self.below(span) for line in lines(each, depth + 1))]

        roots = [span for span in self.spans if span.parent not in self.by_id]
        return "\n".join(line for root in roots for line in lines(root, 0))

    def check(
        self,
        subscribers: dict[str, list[str]],
        *,
        never_processed: Set[str] = frozenset(),
        orphans: Set[str] = frozenset(),
    ) -> None:
        """Check what holds for every order: one root, which is the POST; names, kinds and attributes of all spans; each
        event of the order is processed by every queue that is bound to it.

        `never_processed` are names of spans that a fault prevented, `orphans` those of spans whose parent a killed
        process had not exported.
        """
        root = self.one("POST /orders")
        assert (root.service, root.kind, root.parent) == ("order-api", "server", None)
        assert (root.tags["http.route"], root.tags["http.request.method"]) == ("/orders", "POST")
        without_parent = [span.name for span in self.spans if span.parent not in self.by_id]
        assert sorted(without_parent) == sorted([root.name, *orphans]), self.text()
        assert root.tags["http.response.status_code"] == 202
        published: set[str] = set()
        for span in self.spans:
            operation, _, destination = span.name.partition(" ")
            if span.name.startswith(("publish ", "process ")):
                self._check_message(span, operation, destination)
            if operation == "publish" and destination.startswith("order.exchange:"):
                published.add(destination.partition(":")[2])
        for event_type in published:
            queues = [*subscribers.get(event_type, []), "audit.queue"]
            expected = {f"process order.exchange:{event_type}:{queue}" for queue in queues}
            assert expected - never_processed == {
                span.name for span in self.named(f"process order.exchange:{event_type}:")
            }, self.text()
        assert all(span.tags.get("warren.order.id") == str(self.order_id) for span in [root, *self.named("publish ")])

    def _check_message(self, span: TracedSpan, operation: str, destination: str) -> None:
        assert span.kind == {"publish": "producer", "process": "consumer"}[operation]
        assert span.tags["messaging.system"] == "rabbitmq"
        assert span.tags["messaging.operation.name"] == operation
        assert span.tags["messaging.operation.type"] == {"publish": "send", "process": "process"}[operation]
        assert span.tags["messaging.destination.name"] == destination
        assert span.tags["messaging.rabbitmq.destination.routing_key"] == destination.split(":")[1]
        assert span.tags["messaging.message.conversation_id"] == str(self.order_id)
        if operation == "process":
            publish = self.parent(span)
            assert publish.name == f"publish {':'.join(destination.split(':')[:2])}", self.text()
            assert publish.id in span.links
            assert publish.tags["messaging.message.id"] == span.tags["messaging.message.id"]
            assert isinstance(span.tags["messaging.rabbitmq.message.delivery_tag"], int)
        if span.outcome in {"retried", "parked"}:
            assert span.tags["error"] is True and span.tags["error.type"], span


def wait_for_trace(
    harness: FaultHarness, order_id: UUID, complete: Callable[[OrderTrace], object], seconds: float = 60
) -> OrderTrace:
    """Wait until the trace of an order is complete and receives no more spans. There is no other trace about it."""
    store = JaegerClient(harness.traces_url)
    deadline = time.monotonic() + seconds
    size, since = 0, time.monotonic()
    while True:
        traces = {
            trace.trace_id: trace
            for service in [*PROCESSES, "warren"]
            for trace in store.find(service, {"warren.order.id": str(order_id)})
        }
        found = [span for trace in traces.values() for span in _spans(trace)]
        order = OrderTrace(order_id, found)
        if len(found) != size:
            size, since = len(found), time.monotonic()
        if found and complete(order) and time.monotonic() - since > QUIET_SECONDS:
            assert len(traces) == 1, f"the order has {len(traces)} traces\n{order.text()}"
            assert _traces_of_events(harness, order_id) == set(traces)
            return order
        assert time.monotonic() < deadline, f"the trace is not complete in time\n{order.text()}"
        time.sleep(0.2)


def _traces_of_events(harness: FaultHarness, order_id: UUID) -> set[str]:
    """Return the trace ids in the events that audit has."""
    history = httpx.get(f"{harness.url('audit')}/audit/orders/{order_id}").raise_for_status().json()
    return {each["event"]["traceparent"].split("-")[1] for each in history["events"]}


def _spans(trace: JaegerTrace) -> list[TracedSpan]:
    found = []
    for span in trace.spans:
        references = span.references or []
        tags = {tag.key: tag.value for tag in span.tags or []}
        parents = [each.span_id for each in references if each.ref_type == "CHILD_OF"]
        found.append(
            TracedSpan(
                service=trace.processes[span.process_id].service_name,
                name=span.operation_name,
                kind=tags.get("span.kind"),
                id=span.span_id,
                parent=parents[0] if parents else None,
                links=[each.span_id for each in references if each.ref_type == "FOLLOWS_FROM"],
                tags=tags,
                start=span.start_time,
            )
        )
    return found
