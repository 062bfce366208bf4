"""The spans of an order's traces, as `warren trace` reads them."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import msgspec

from warren.jaeger import JaegerSpan, JaegerTrace

REDRIVE_EXCHANGE = "redrive.exchange"
ORDER_TAGS = {"warren.order.id", "messaging.message.conversation_id"}
DATABASE_TAGS = ("db.system.name", "db.system")


class OrderSpan(msgspec.Struct, frozen=True, kw_only=True):
    """A span; times are microseconds since 1970."""

    trace_id: str
    span_id: str
    parent_id: str | None
    service: str
    name: str
    start: int
    end: int
    tags: dict[str, Any]

    @property
    def kind(self) -> str:
        """`publish` or `process` of a message, `request` to a service, `call` of a service, `internal`, or `other`."""
        operation = self.tags.get("messaging.operation.name")
        if operation in {"publish", "process"}:
            return str(operation)
        if operation is not None or any(tag in self.tags for tag in DATABASE_TAGS):
            return "other"
        return {"server": "request", "client": "call", "": "internal"}.get(self.text("span.kind"), "other")

    @property
    def destination(self) -> list[str]:
        """Exchange and routing key, and for a consumer the queue unless it equals the routing key."""
        return self.text("messaging.destination.name").split(":")

    @property
    def queue(self) -> str | None:
        return self.destination[-1] if self.kind == "process" else None

    @property
    def routing_key(self) -> str:
        """That of an event is its type, that of a replay the queue."""
        parts = self.destination
        return parts[1] if len(parts) > 1 else parts[0]

    @property
    def message_id(self) -> str:
        return self.text("messaging.message.id")

    @property
    def is_replay(self) -> bool:
        return self.kind == "publish" and self.destination[0] == REDRIVE_EXCHANGE

    @property
    def failed(self) -> bool:
        return bool(self.tags.get("error"))

    @property
    def outcome(self) -> str | None:
        """`retried`, `parked`, `released` or `repeated` for a delivery, `failed` for anything else that failed."""
        return self.text("warren.outcome") or ("failed" if self.failed else None)

    @property
    def reason(self) -> str | None:
        return self.text("otel.status_description") or self.text("error.type") or None

    def text(self, tag: str) -> str:
        value = self.tags.get(tag, "")
        return value if isinstance(value, str) else str(value)


def without_other_orders(trace: JaegerTrace, order_id: UUID) -> JaegerTrace:
    """Leave out the spans of other orders: a client can place many of them in one trace.

    A span without an order belongs to that of its parent.
    """
    by_id = {span.span_id: span for span in trace.spans}
    orders: dict[str, str] = {}

    def order_of(span: JaegerSpan) -> str:
        """Return the id, or an empty text if no span on the way up has one."""
        path: dict[str, None] = {}
        found, current = "", span
        while current.span_id not in path:
            path[current.span_id] = None
            tags = [str(tag.value) for tag in current.tags or () if tag.key in ORDER_TAGS]
            found = tags[0] if tags else orders.get(current.span_id, "")
            parent = by_id.get(_parent_of(current) or "")
            if found or parent is None:
                break
            current = parent
        orders.update(dict.fromkeys(path, found))
        return found

    kept = [span for span in trace.spans if order_of(span) in {"", str(order_id)}]
    return msgspec.structs.replace(trace, spans=kept)


def order_spans(traces: Iterable[JaegerTrace]) -> list[OrderSpan]:
    """Return the spans of the traces by start time."""
    found = [_span(trace, span) for trace in traces for span in trace.spans]
    return sorted(found, key=lambda span: (span.start, span.end, span.span_id))


def _span(trace: JaegerTrace, span: JaegerSpan) -> OrderSpan:
    process = trace.processes.get(span.process_id)
    return OrderSpan(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_id=_parent_of(span),
        service="?" if process is None else process.service_name,
        name=span.operation_name,
        start=span.start_time,
        end=span.start_time + span.duration,
        tags={tag.key: tag.value for tag in span.tags or ()},
    )


def _parent_of(span: JaegerSpan) -> str | None:
    return next((each.span_id for each in span.references or () if each.ref_type == "CHILD_OF"), None)
