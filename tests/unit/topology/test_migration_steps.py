"""The steps of a migration for states of the broker that real messages do not show quickly."""

from typing import Any

import msgspec
import pytest

from broker_topology.migration.shovel import Shovel
from broker_topology.migration.state import BindingSource, MigrationNames, MigrationState, QueueSnapshot
from broker_topology.migration.steps import (
    FIRST,
    MigrationBlocked,
    MigrationDone,
    MigrationStep,
    SendRequests,
    Wait,
    decide,
)

SETTLE = 12.0
NAMES = MigrationNames("work")
replace = msgspec.structs.replace


def body(**arguments: Any) -> dict[str, Any]:
    return {"durable": True, "auto_delete": False, "arguments": {"x-queue-type": "quorum"} | arguments}


OLD, NEW = body(), body(**{"x-max-length": 5})


def binding(source: str, routing_key: str = "") -> BindingSource:
    return BindingSource(source, routing_key, "{}", routing_key or "~")


def snapshot(queue: dict[str, Any] = OLD, *sources: str, **changed: Any) -> QueueSnapshot:
    empty = QueueSnapshot(queue, 0, 0, 0, SETTLE, tuple(map(binding, sources)), exclusive=False, limits=())
    return replace(empty, **changed)


def state(queue: QueueSnapshot | None, **changed: Any) -> MigrationState:
    types = {"events": "topic", "spread": "x-consistent-hash"}
    return replace(MigrationState("v", NAMES, queue, None, None, frozenset(), types, (), {}, {}), **changed)


def cut_off(queue: QueueSnapshot, **changed: Any) -> MigrationState:
    """Returns a state: all buffers exist, new messages go aside, and the shovel runs."""
    started = {
        "aside": snapshot(body(), NAMES.aside),
        "backlog": snapshot(body(), NAMES.backlog),
        "exchanges": frozenset({NAMES.entry, NAMES.aside, NAMES.backlog}),
        "entered": (binding("events"),),
        "shovels": {NAMES.out: Shovel("work", NAMES.backlog).definition("v")},
    }
    return state(queue, **(started | changed))


def returning(**changed: Any) -> MigrationState:
    """Returns a state: the queue is declared again, and every message has to return."""
    back = {
        "exchanges": frozenset(NAMES.exchanges),
        "shovels": {NAMES.back: Shovel(NAMES.backlog, NAMES.home).definition("v")},
        "queue": snapshot(NEW, NAMES.home),
    }
    return replace(cut_off(snapshot()), **(back | changed))


def requests(step: MigrationStep) -> list[str]:
    assert isinstance(step, SendRequests), step
    return [f"{request.method} {request.target.removeprefix('/api/')}" for request in step.requests]


def reason_of(step: MigrationStep) -> str:
    assert isinstance(step, Wait | MigrationBlocked), step
    return step.reason


def test_a_queue_that_is_as_wanted_is_left_alone() -> None:
    assert decide(state(snapshot(NEW, "events")), NEW, SETTLE) == MigrationDone()
    assert decide(state(None), NEW, SETTLE) == MigrationDone()


@pytest.mark.parametrize(
    ("queue", "desired", "reason"),
    [
        (snapshot(body(**{"x-queue-type": "stream"})), NEW, "offsets of a stream"),
        (snapshot(), body(**{"x-queue-type": "stream"}), "offsets of a stream"),
        (snapshot(OLD, exclusive=True), NEW, "exists only as long as its consumers"),
        (snapshot(OLD | {"auto_delete": True}), NEW, "exists only as long as its consumers"),
        (snapshot(), NEW | {"auto_delete": True}, "exists only as long as its consumers"),
        (snapshot(OLD, "events", "spread"), NEW, "exchange spread spreads messages over its bindings"),
    ],
)
def test_a_migration_that_could_lose_messages_is_refused(
    queue: QueueSnapshot, desired: dict[str, Any], reason: str
) -> None:
    step = decide(state(queue), desired, SETTLE)
    assert isinstance(step, MigrationBlocked)
    assert reason in step.reason


def test_a_name_that_is_too_long_is_refused() -> None:
    assert "too long" in reason_of(decide(replace(state(snapshot()), names=MigrationNames("ü" * 112)), NEW, SETTLE))
    assert isinstance(decide(replace(state(snapshot()), names=MigrationNames("ü" * 110)), NEW, SETTLE), SendRequests)


def test_the_path_aside_is_complete_before_a_binding_leads_there() -> None:
    sent = requests(decide(state(snapshot(OLD, "events")), NEW, SETTLE))
    assert sent[-1] == f"PUT exchanges/v/{NAMES.entry}"
    assert not [each for each in sent if "events" in each]


def test_new_bindings_are_added_before_old_ones_are_removed() -> None:
    before = cut_off(snapshot(OLD, "events"), entered=())
    assert requests(decide(before, NEW, SETTLE)) == [
        f"POST bindings/v/e/{NAMES.entry}/q/work",
        f"POST bindings/v/e/events/e/{NAMES.entry}",
    ]
    both = cut_off(snapshot(OLD, "events", NAMES.entry))
    assert requests(decide(both, NEW, SETTLE)) == ["DELETE bindings/v/e/events/q/work/~"]
    entry_only = cut_off(snapshot(OLD, NAMES.entry))
    assert requests(decide(entry_only, NEW, SETTLE)) == [f"DELETE bindings/v/e/{NAMES.entry}/q/work/~"]


@pytest.mark.parametrize(
    "left",
    [
        snapshot(OLD, messages=1, ready=1),
        snapshot(OLD, messages=1, unacknowledged=1),
        snapshot(OLD, messages=1),  # waits for a retry or for its dead-letter exchange
        snapshot(OLD, unchanged_seconds=SETTLE - 0.1),
        snapshot(OLD, "late"),
        snapshot(OLD, NAMES.entry),
    ],
)
def test_the_old_queue_is_not_deleted_while_it_may_hold_a_message(left: QueueSnapshot) -> None:
    step = decide(cut_off(left), NEW, SETTLE)
    assert isinstance(step, Wait) or "DELETE queues/v/work" not in requests(step)


def test_an_empty_queue_is_deleted_after_its_shovel_and_declared_again() -> None:
    assert requests(decide(cut_off(snapshot()), NEW, SETTLE))[-1] == "DELETE queues/v/work"
    gone = replace(cut_off(snapshot()), queue=None, shovels={})
    assert requests(decide(gone, NEW, SETTLE)) == ["PUT queues/v/work"]


def test_the_shovel_gets_priority_for_messages_that_return_late() -> None:
    def definition(queue: QueueSnapshot, **changed: Any) -> Any:
        step = decide(cut_off(queue, **changed), NEW, SETTLE)
        return step.requests[0].body["value"].get("src-consumer-args") if isinstance(step, SendRequests) else None

    assert definition(snapshot(OLD, messages=5, ready=2, unacknowledged=3)) is None
    assert definition(snapshot(OLD, messages=5, unacknowledged=3)) == {"x-priority": FIRST}
    single = body(**{"x-single-active-consumer": True})
    assert definition(snapshot(single, messages=5, ready=5)) == {"x-priority": FIRST}
    urgent = {NAMES.out: Shovel("work", NAMES.backlog, FIRST).definition("v")}
    assert definition(snapshot(OLD, messages=5, ready=5), shovels=urgent) is None  # it keeps its priority


def test_messages_return_in_the_order_of_their_age() -> None:
    full = returning(
        backlog=snapshot(body(), NAMES.backlog, messages=7), aside=snapshot(body(), NAMES.aside, messages=9)
    )
    assert "7 older ones, 9 that arrived meanwhile" in reason_of(decide(full, NEW, SETTLE))
    older_back = replace(full, backlog=snapshot(body(), NAMES.backlog, unchanged_seconds=3))
    assert requests(decide(older_back, NEW, SETTLE)) == [f"PUT parameters/shovel/v/{NAMES.last}"]
    last = Shovel(NAMES.aside, NAMES.home).definition("v")
    many = replace(
        older_back,
        shovels={**full.shovels, NAMES.last: last},
        aside=snapshot(body(), NAMES.aside, messages=1001),
    )
    assert isinstance(decide(many, NEW, SETTLE), Wait)
    few = replace(many, aside=snapshot(body(), NAMES.aside, messages=1000))
    assert requests(decide(few, NEW, SETTLE)) == [f"POST bindings/v/e/{NAMES.entry}/q/work"]


@pytest.mark.parametrize("buffer", ["aside", "backlog"])
@pytest.mark.parametrize("left", [{"messages": 1}, {"unchanged_seconds": SETTLE - 0.1}])
def test_a_buffer_is_not_deleted_while_it_may_hold_a_message(buffer: str, left: dict[str, Any]) -> None:
    back = returning(
        queue=snapshot(NEW, "events", NAMES.home),
        exchanges=frozenset({NAMES.home, NAMES.backlog, NAMES.aside}),
        entered=(),
        shovels={
            NAMES.back: Shovel(NAMES.backlog, NAMES.home).definition("v"),
            NAMES.last: Shovel(NAMES.aside, NAMES.home).definition("v"),
        },
    )
    sent = requests(decide(back, NEW, SETTLE))
    assert {f"DELETE queues/v/{NAMES.aside}", f"DELETE queues/v/{NAMES.backlog}"} < set(sent)
    one = snapshot(body(), getattr(NAMES, buffer), **left)
    assert isinstance(decide(replace(back, **{buffer: one}), NEW, SETTLE), Wait)


def test_the_error_of_a_shovel_is_reported() -> None:
    stuck = cut_off(snapshot(OLD, messages=3, ready=3), shovel_errors={NAMES.out: "vhost limit reached"})
    assert reason_of(decide(stuck, NEW, SETTLE)) == "its messages cannot be moved aside yet: vhost limit reached"
