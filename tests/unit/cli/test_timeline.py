"""The timeline of an order: waits, attempts, replays and steps, from spans and from events."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from rich.cells import cell_len

from warren.cli.spans import OrderSpan
from warren.cli.timeline import EPOCH, OrderTimeline, timeline
from warren.cli.timeline_view import render, seconds
from warren.client import HistoryEntry

MS = 1000
KINDS = {"publish": "producer", "process": "consumer"}


def span(
    name: str, parent: str | None, start: float, end: float, service: str = "order-worker", **tags: Any
) -> OrderSpan:
    """A span; times are milliseconds. `name` is its id too, and that of a message names operation and destination."""
    operation, _, destination = name.partition(" ")
    if operation in KINDS:
        tags |= {"messaging.operation.name": operation, "messaging.destination.name": destination.partition("#")[0]}
        tags.setdefault("span.kind", KINDS[operation])
    tags = {key.replace("__", "."): value for key, value in tags.items()}
    return OrderSpan(
        trace_id="t",
        span_id=name,
        parent_id=parent,
        service=service,
        name=name,
        start=int(start * MS),
        end=int(end * MS),
        tags=tags,
    )


def message(number: int) -> dict[str, Any]:
    return {"messaging__message__id": str(number)}


def event(type_: str, number: int, at: float, service: str = "order") -> HistoryEntry:
    time = (EPOCH + timedelta(milliseconds=at)).isoformat()
    return HistoryEntry(time=time, type=type_, source=f"//warren/{service}", id=str(number))


REQUEST = span("POST /orders", None, 0, 5, "order-api", span__kind="server", http__response__status_code=201)
CREATED = span("publish x:order.created", "POST /orders", 6, 8, **message(1))
RESERVING = span("process x:order.created:inventory.queue", CREATED.name, 11, 21, "inventory", **message(1))
RESERVED = span("publish x:inventory.reserved", RESERVING.name, 25, 27, "inventory", **message(2))
CONFIRMING = span("process x:inventory.reserved:order.queue", RESERVED.name, 26, 40, **message(2))
CONFIRMED = span("publish x:order.confirmed", CONFIRMING.name, 45, 47, **message(3))
HAPPY = [REQUEST, CREATED, RESERVING, RESERVED, CONFIRMING, CONFIRMED]
HISTORY = [
    event("order.created", 1, 4),
    event("inventory.reserved", 2, 20, "inventory"),
    event("order.confirmed", 3, 41),
]


def rows(found: OrderTimeline) -> list[tuple[str, str, str]]:
    return [(each.kind, each.service, each.what) for each in found.activities]


def test_a_delivery_waits_from_the_confirm_and_an_event_from_its_commit() -> None:
    found = timeline(HAPPY, HISTORY)
    assert rows(found) == [
        ("request", "order-api", "POST /orders"),
        ("publish", "order-worker", "order.created"),
        ("process", "inventory", "order.created"),
        ("publish", "inventory", "inventory.reserved"),
        ("process", "order-worker", "inventory.reserved"),
        ("publish", "order-worker", "order.confirmed"),
    ]
    waits = [(each.queue, each.waited) for each in found.activities]
    # The fifth began before the confirm arrived.
    assert waits == [
        (None, None),
        ("outbox", 0.002),
        ("inventory.queue", 0.003),
        ("outbox", 0.005),
        ("order.queue", 0.0),
        ("outbox", 0.004),
    ]
    assert found.activities[0].detail == "status 201"
    assert [round(each.took or 0, 6) for each in found.activities] == [0.005, 0.002, 0.01, 0.002, 0.014, 0.002]


def test_steps_are_the_states_with_the_time_in_queues_on_the_way() -> None:
    first, second = timeline(HAPPY, HISTORY).steps
    assert (first.state, first.took) == ("PENDING", 0.0)
    assert (second.state, round(second.took, 6), second.queued) == ("CONFIRMED", 0.037, 0.003)


def test_without_the_audit_log_steps_come_from_spans_and_without_spans_from_events() -> None:
    of_spans = timeline(HAPPY, [])
    assert [(step.state, round(step.took, 6)) for step in of_spans.steps] == [("PENDING", 0.0), ("CONFIRMED", 0.039)]
    assert {each.waited for each in of_spans.activities if each.kind == "publish"} == {None}
    of_events = timeline([], HISTORY)
    assert rows(of_events) == [
        ("event", "order", "order.created"),
        ("event", "inventory", "inventory.reserved"),
        ("event", "order", "order.confirmed"),
    ]
    assert [(step.state, step.queued) for step in of_events.steps] == [("PENDING", None), ("CONFIRMED", None)]


def test_an_event_without_a_span_stands_between_the_spans() -> None:
    found = timeline([REQUEST, RESERVING], HISTORY)
    assert [(each.kind, each.what) for each in found.activities][1] == ("event", "order.created")
    assert found.activities[2].waited is None  # its publish is not known


def test_a_retry_waits_since_the_last_attempt_and_a_replay_since_the_delivery_was_parked() -> None:
    failure = {"error": True, "otel__status_description": "no route", "error__type": "x.Y"}
    first = span(f"{RESERVING.name}#1", CREATED.name, 10, 12, warren__outcome="retried", **message(1), **failure)
    second = span(f"{RESERVING.name}#2", CREATED.name, 1_012, 1_014, warren__outcome="parked", **message(1), **failure)
    replay = span("publish redrive.exchange:inventory.queue", CREATED.name, 5_014, 5_016, "dlq", **message(1))
    third = span("process redrive.exchange:inventory.queue", replay.name, 5_020, 5_030, **message(1))
    found = timeline([CREATED, first, second, replay, third], HISTORY[:1])
    found_rows = [(each.what, each.queue, each.waited, each.attempt, each.outcome) for each in found.activities]
    assert found_rows[1:] == [
        ("order.created", "inventory.queue", 0.002, 1, "retried"),
        ("order.created", "inventory.queue", 1.0, 2, "parked"),
        ("order.created", "inventory.dlq", 4.0, 1, "replayed"),
        ("order.created", "inventory.queue", 0.004, 1, None),
    ]
    text = render(found, 100, bars=False).plain
    assert "attempt 1, retried: no route" in text
    assert "attempt 2, parked: no route" in text
    assert "put back from the parking lot" in text


def test_spans_of_the_database_and_of_the_audit_log_are_hidden_unless_they_are_asked_for() -> None:
    query = span("SELECT", RESERVING.name, 12, 13, "inventory", span__kind="client", db__system__name="postgresql")
    logged = span("process x:order.created:audit.queue", CREATED.name, 12, 13, "audit")
    call = span("POST", RESERVING.name, 14, 19, "inventory", span__kind="client", http__response__status_code=503)
    spans = sorted([*HAPPY, query, logged, call], key=lambda each: each.start)
    found = timeline(spans, HISTORY)
    assert found.hidden == 2
    [shown] = [each for each in found.activities if each.kind == "call"]
    assert (shown.what, shown.detail, shown.inner) == ("POST", "status 503", True)
    everything = timeline(spans, HISTORY, everything=True)
    assert (len(everything.activities), everything.hidden) == (len(spans), 0)


def test_parents_in_a_circle_end() -> None:
    circle = [
        span("publish x:order.created", "publish x:order.paid", 1, 2),
        span("publish x:order.paid", "publish x:order.created", 3, 4),
    ]
    assert [step.state for step in timeline(circle, []).steps] == ["PENDING", "PAID"]


@pytest.mark.parametrize("width", [40, 80, 100, 132, 200])
def test_lines_fit_the_screen_and_bars_need_room(width: int) -> None:
    text = render(timeline(HAPPY, HISTORY), width, bars=True).plain
    lines = text.splitlines()
    if width >= 80:
        assert max(map(cell_len, lines)) <= width
    assert ("█" in text) == (width >= 80)
    assert lines[0].split() == ["after", "process", "what", "waited", "took"]
    assert "█" not in render(timeline(HAPPY, HISTORY), width, bars=False).plain


def test_states_and_activities_count_from_the_same_moment() -> None:
    lines = render(timeline(HAPPY, HISTORY), 80, bars=False).plain.splitlines()
    after = {line.split()[0]: line.split()[1:3] for line in lines if line.startswith(("PENDING", "CONFIRMED"))}
    assert after == {"PENDING": ["4.0", "ms"], "CONFIRMED": ["41", "ms"]}


def test_a_bar_shows_the_wait_before_the_work() -> None:
    lines = render(timeline(HAPPY, HISTORY), 132, bars=True).plain.splitlines()
    start = lines[1].index("█")
    total, width = 47, 60
    line = lines[3]
    assert line.index("─") - start == pytest.approx(8 / total * width, abs=1)
    assert line.index("█") - start == pytest.approx(11 / total * width, abs=1)
    assert line.rindex("█") - start == pytest.approx(21 / total * width, abs=1)


def test_control_characters_of_a_span_do_not_reach_the_screen() -> None:
    found = timeline([span("GET \x1b[2J", None, 0, 1, "a\nb", span__kind="server", error=True, error__type="\x07")], [])
    assert all(line.isprintable() for line in render(found, 80, bars=True).plain.splitlines())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.0 ms"),
        (0.0004, "0.4 ms"),
        (0.0123, "12 ms"),
        (0.9999, "1.00 s"),
        (1.254, "1.25 s"),
        (12.34, "12.3 s"),
        (83.4, "83.4 s"),
        (240, "240 s"),
        (600, "10 m"),
    ],
)
def test_times_have_few_digits(value: float, text: str) -> None:
    assert seconds(value) == text


def test_times_are_in_utc() -> None:
    assert timeline(
        [], [HistoryEntry(time="2026-11-28T10:00:00", type="a", source="b")]
    ).start == datetime.fromisoformat("2026-11-28T10:00:00+00:00")
