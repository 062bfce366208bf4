"""The timeline of one order: from the spans of its traces, and from the events in the audit log."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from warren.cli.spans import OrderSpan
from warren.client import HistoryEntry

STEPS = {
    "order.created": "PENDING",
    "order.confirmed": "CONFIRMED",
    "order.paid": "PAID",
    "order.shipped": "SHIPPED",
    "order.completed": "COMPLETED",
    "order.cancelling": "CANCELLING",
    "order.cancelled": "CANCELLED",
}
"""The event that announces each state of an order."""
AUDIT = "audit"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Activity(msgspec.Struct, frozen=True, kw_only=True):
    """Something that one process did for the order."""

    kind: str
    """`request`, `publish`, `process`, `call`, `internal`, `other`; `event` for an event that has no span."""
    service: str
    what: str
    """The event type of a message, or the name of the span."""
    at: datetime
    took: float | None = None
    """Seconds; None for an event without a span."""
    waited: float | None = None
    """Seconds in `queue` before; for a further attempt, since the end of the last one."""
    queue: str | None = None
    """The queue of a delivery; `outbox` for a publish, the parking lot for a replay."""
    attempt: int = 1
    outcome: str | None = None
    """`retried`, `parked`, `released` (for another process), `repeated` (known to the inbox), `failed`, `replayed`."""
    reason: str | None = None
    detail: str | None = None
    """The response of a request or call."""
    inner: bool = False
    """Whether it is part of the activity above it."""
    trace_id: str | None = None
    span_id: str | None = None


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A state that the order reached."""

    state: str
    at: datetime
    took: float
    """Seconds since the step before."""
    queued: float | None
    """Seconds of these that messages on the way to this state spent in queues; None without spans."""


class OrderTimeline(msgspec.Struct, frozen=True, kw_only=True):
    """All activities by time, and the states that the order went through."""

    activities: list[Activity]
    hidden: int
    """The number of spans left out: of the database and of the audit log."""
    steps: list[Step]

    @property
    def start(self) -> datetime:
        return min(each.at for each in self.activities)

    @property
    def end(self) -> datetime:
        return max(each.at + timedelta(seconds=each.took or 0) for each in self.activities)


def timeline(spans: Sequence[OrderSpan], history: Sequence[HistoryEntry], *, everything: bool = False) -> OrderTimeline:
    """Return the timeline. With `everything` no span is left out."""
    visible = [span for span in spans if everything or not _is_hidden(span)]
    published = {span.message_id for span in spans if span.kind == "publish"}
    activities = _Activities(spans, history).of(visible)
    activities += [
        Activity(kind="event", service=_service(entry), what=entry.type, at=_time(entry.time))
        for entry in history
        if entry.id not in published
    ]
    activities.sort(key=lambda each: each.at)
    return OrderTimeline(activities=activities, hidden=len(spans) - len(visible), steps=_steps(spans, history))


def _is_hidden(span: OrderSpan) -> bool:
    return span.kind == "other" or (span.kind == "process" and span.service == AUDIT and not span.failed)


class _Activities:
    """Makes activities of spans, which it takes by their start."""

    def __init__(self, spans: Sequence[OrderSpan], history: Sequence[HistoryEntry]) -> None:
        self._by_id = {span.span_id: span for span in spans}
        self._announced = {entry.id: _time(entry.time) for entry in history}
        self._types = {entry.id: entry.type for entry in history}
        self._types |= {
            span.message_id: span.routing_key for span in spans if span.kind == "publish" and not span.is_replay
        }
        self._attempts: dict[tuple[str | None, str], list[OrderSpan]] = {}
        """The deliveries of each publish to each queue so far."""
        self._parked: dict[str, OrderSpan] = {}
        """The last parked delivery of each queue."""

    def of(self, spans: Iterable[OrderSpan]) -> list[Activity]:
        return [self._activity(span) for span in spans]

    def _activity(self, span: OrderSpan) -> Activity:
        waited, queue, attempt = self._wait(span)
        parent = self._by_id.get(span.parent_id or "")
        is_message = span.kind in {"publish", "process"}
        return Activity(
            kind=span.kind,
            service=span.service,
            what=self._types.get(span.message_id, span.routing_key) if is_message else span.name,
            at=moment(span.start),
            took=_seconds(span.start, span.end),
            waited=waited,
            queue=queue,
            attempt=attempt,
            outcome="replayed" if span.is_replay else span.outcome,
            reason=span.reason if span.failed else None,
            detail=_detail(span),
            inner=span.kind in {"call", "internal", "other"} and parent is not None and parent.service == span.service,
            trace_id=span.trace_id,
            span_id=span.span_id,
        )

    def _wait(self, span: OrderSpan) -> tuple[float | None, str | None, int]:
        """Return the seconds before the span, where they were spent, and the number of the attempt."""
        if span.is_replay:
            parked = self._parked.get(span.routing_key)
            lot = span.routing_key.removesuffix(".queue") + ".dlq"
            return None if parked is None else _seconds(parked.end, span.start), lot, 1
        if span.kind == "publish":
            announced = self._announced.get(span.message_id)
            return None if announced is None else _between(announced, moment(span.start)), "outbox", 1
        if span.queue is None:
            return None, None, 1
        attempts = self._attempts.setdefault((span.parent_id, span.queue), [])
        before = attempts[-1] if attempts else self._by_id.get(span.parent_id or "")
        attempts.append(span)
        if span.outcome == "parked":
            self._parked[span.queue] = span
        return None if before is None else _seconds(before.end, span.start), span.queue, len(attempts)


def _detail(span: OrderSpan) -> str | None:
    status = span.text("http.response.status_code") or span.text("http.status_code")
    return f"status {status}" if status else None


def _steps(spans: Sequence[OrderSpan], history: Sequence[HistoryEntry]) -> list[Step]:
    """Return the states by time, from the audit log, or without it from the spans."""
    publishes = {span.routing_key: span for span in reversed(spans) if span.kind == "publish" and not span.is_replay}
    reached = {entry.type: _time(entry.time) for entry in reversed(history) if entry.type in STEPS}
    if not reached:
        reached = {type_: moment(span.start) for type_, span in publishes.items() if type_ in STEPS}
    by_id = {span.span_id: span for span in spans}
    found: list[Step] = []
    for type_, at in sorted(reached.items(), key=lambda each: each[1]):
        before = found[-1].at if found else at
        queued = _queued(publishes[type_], by_id, before, at) if type_ in publishes else None
        took = (at - before).total_seconds()
        found.append(Step(state=STEPS[type_], at=at, took=took, queued=queued))
    return found


def _queued(span: OrderSpan, by_id: dict[str, OrderSpan], start: datetime, end: datetime) -> float:
    """Return the seconds between `start` and `end` in which the messages that led to the span were in queues."""
    total = 0.0
    current, seen = span, {span.span_id}
    while (parent := by_id.get(current.parent_id or "")) is not None and parent.span_id not in seen:
        if current.kind == "process" and parent.kind == "publish":
            total += _between(max(moment(parent.end), start), min(moment(current.start), end))
        seen.add(parent.span_id)
        current = parent
    return total


def moment(microseconds: int) -> datetime:
    """Return the time, in UTC, from microseconds since 1970."""
    return EPOCH + timedelta(microseconds=microseconds)


def _seconds(start: int, end: int) -> float:
    """Return the seconds between two points in time, at least 0: a delivery may begin before its confirm arrives."""
    return max(end - start, 0) / 1_000_000


def _between(start: datetime, end: datetime) -> float:
    return max((end - start).total_seconds(), 0.0)


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _service(entry: HistoryEntry) -> str:
    return entry.source.rsplit("/", 1)[-1]
