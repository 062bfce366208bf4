"""What a migration does next, from what is at the broker: the cases that real messages cannot show quickly."""

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


def bound(source: str, routing_key: str = "") -> BindingSource:
    return BindingSource(source, routing_key, "{}", routing_key or "~")


def holding(queue: dict[str, Any] = OLD, *sources: str, **changed: Any) -> QueueSnapshot:
    empty = QueueSnapshot(queue, 0, 0, 0, SETTLE, tuple(map(bound, sources)), exclusive=False, limits=())
    return replace(empty, **changed)


def site(queue: QueueSnapshot | None, **changed: Any) -> MigrationState:
    types = {"events": "topic", "spread": "x-consistent-hash"}
    return replace(MigrationState("v", NAMES, queue, None, None, frozenset(), types, (), {}, {}), **changed)


def cut_off(queue: QueueSnapshot, **changed: Any) -> MigrationState:
    """Everything is in place, what is published goes aside, and the shovel runs."""
    started = {
        "aside": holding(body(), NAMES.aside),
        "backlog": holding(body(), NAMES.backlog),
        "exchanges": frozenset({NAMES.entry, NAMES.aside, NAMES.backlog}),
        "entered": (bound("events"),),
        "shovels": {NAMES.out: Shovel("work", NAMES.backlog).definition("v")},
    }
    return site(queue, **(started | changed))


def returning(**changed: Any) -> MigrationState:
    """The queue is new, and everything is still to come back."""
    back = {
        "exchanges": frozenset(NAMES.exchanges),
        "shovels": {NAMES.back: Shovel(NAMES.backlog, NAMES.home).definition("v")},
        "queue": holding(NEW, NAMES.home),
    }
    return replace(cut_off(holding()), **(back | changed))


def requests(move: MigrationStep) -> list[str]:
    assert isinstance(move, SendRequests), move
    return [f"{request.method} {request.target.removeprefix('/api/')}" for request in move.requests]


def told(move: MigrationStep) -> str:
    assert isinstance(move, Wait | MigrationBlocked), move
    return move.reason


def test_a_queue_that_is_as_wanted_is_left_alone() -> None:
    assert decide(site(holding(NEW, "events")), NEW, SETTLE) == MigrationDone()
    assert decide(site(None), NEW, SETTLE) == MigrationDone()


@pytest.mark.parametrize(
    ("queue", "wanted", "reason"),
    [
        (holding(body(**{"x-queue-type": "stream"})), NEW, "offsets of a stream"),
        (holding(), body(**{"x-queue-type": "stream"}), "offsets of a stream"),
        (holding(OLD, exclusive=True), NEW, "exists only as long as its consumers"),
        (holding(OLD | {"auto_delete": True}), NEW, "exists only as long as its consumers"),
        (holding(), NEW | {"auto_delete": True}, "exists only as long as its consumers"),
        (holding(OLD, "events", "spread"), NEW, "exchange spread spreads messages over its bindings"),
    ],
)
def test_what_could_cost_something_is_refused_before_anything_is_touched(
    queue: QueueSnapshot, wanted: dict[str, Any], reason: str
) -> None:
    move = decide(site(queue), wanted, SETTLE)
    assert isinstance(move, MigrationBlocked)
    assert reason in move.reason


def test_a_name_without_room_is_refused() -> None:
    assert "too long" in told(decide(replace(site(holding()), names=MigrationNames("ü" * 112)), NEW, SETTLE))
    assert isinstance(decide(replace(site(holding()), names=MigrationNames("ü" * 110)), NEW, SETTLE), SendRequests)


def test_the_way_aside_is_complete_before_anything_leads_there() -> None:
    sent = requests(decide(site(holding(OLD, "events")), NEW, SETTLE))
    assert sent[-1] == f"PUT exchanges/v/{NAMES.entry}"
    assert not [each for each in sent if "events" in each]


def test_bindings_are_added_before_others_are_taken_away_and_the_entry_leads_to_the_queue_first() -> None:
    before = cut_off(holding(OLD, "events"), entered=())
    assert requests(decide(before, NEW, SETTLE)) == [
        f"POST bindings/v/e/{NAMES.entry}/q/work",
        f"POST bindings/v/e/events/e/{NAMES.entry}",
    ]
    both = cut_off(holding(OLD, "events", NAMES.entry))
    assert requests(decide(both, NEW, SETTLE)) == ["DELETE bindings/v/e/events/q/work/~"]
    entry_only = cut_off(holding(OLD, NAMES.entry))
    assert requests(decide(entry_only, NEW, SETTLE)) == [f"DELETE bindings/v/e/{NAMES.entry}/q/work/~"]


@pytest.mark.parametrize(
    "left",
    [
        holding(OLD, messages=1, ready=1),
        holding(OLD, messages=1, unacknowledged=1),
        holding(OLD, messages=1),  # waits for its retry, or to be dead-lettered
        holding(OLD, unchanged_seconds=SETTLE - 0.1),
        holding(OLD, "late"),
        holding(OLD, NAMES.entry),
    ],
)
def test_the_old_queue_is_never_deleted_while_anything_may_be_in_it(left: QueueSnapshot) -> None:
    move = decide(cut_off(left), NEW, SETTLE)
    assert isinstance(move, Wait) or "DELETE queues/v/work" not in requests(move)


def test_an_empty_queue_is_deleted_after_its_shovel_and_made_anew() -> None:
    assert requests(decide(cut_off(holding()), NEW, SETTLE))[-1] == "DELETE queues/v/work"
    gone = replace(cut_off(holding()), queue=None, shovels={})
    assert requests(decide(gone, NEW, SETTLE)) == ["PUT queues/v/work"]


def test_what_comes_back_late_goes_to_the_shovel_first() -> None:
    def definition(queue: QueueSnapshot, **changed: Any) -> Any:
        move = decide(cut_off(queue, **changed), NEW, SETTLE)
        return move.requests[0].body["value"].get("src-consumer-args") if isinstance(move, SendRequests) else None

    assert definition(holding(OLD, messages=5, ready=2, unacknowledged=3)) is None
    assert definition(holding(OLD, messages=5, unacknowledged=3)) == {"x-priority": FIRST}
    single = body(**{"x-single-active-consumer": True})
    assert definition(holding(single, messages=5, ready=5)) == {"x-priority": FIRST}
    urgent = {NAMES.out: Shovel("work", NAMES.backlog, FIRST).definition("v")}
    assert definition(holding(OLD, messages=5, ready=5), shovels=urgent) is None  # and stays so


def test_older_messages_come_back_before_newer_ones_and_those_before_the_newest() -> None:
    full = returning(backlog=holding(body(), NAMES.backlog, messages=7), aside=holding(body(), NAMES.aside, messages=9))
    assert "7 older ones, 9 that arrived meanwhile" in told(decide(full, NEW, SETTLE))
    older_back = replace(full, backlog=holding(body(), NAMES.backlog, unchanged_seconds=3))
    assert requests(decide(older_back, NEW, SETTLE)) == [f"PUT parameters/shovel/v/{NAMES.last}"]
    last = Shovel(NAMES.aside, NAMES.home).definition("v")
    many = replace(
        older_back,
        shovels={**full.shovels, NAMES.last: last},
        aside=holding(body(), NAMES.aside, messages=1001),
    )
    assert isinstance(decide(many, NEW, SETTLE), Wait)
    few = replace(many, aside=holding(body(), NAMES.aside, messages=1000))
    assert requests(decide(few, NEW, SETTLE)) == [f"POST bindings/v/e/{NAMES.entry}/q/work"]


@pytest.mark.parametrize("place", ["aside", "backlog"])
@pytest.mark.parametrize("left", [{"messages": 1}, {"unchanged_seconds": SETTLE - 0.1}])
def test_no_place_is_deleted_while_anything_may_be_in_it(place: str, left: dict[str, Any]) -> None:
    back = returning(
        queue=holding(NEW, "events", NAMES.home),
        exchanges=frozenset({NAMES.home, NAMES.backlog, NAMES.aside}),
        entered=(),
        shovels={
            NAMES.back: Shovel(NAMES.backlog, NAMES.home).definition("v"),
            NAMES.last: Shovel(NAMES.aside, NAMES.home).definition("v"),
        },
    )
    sent = requests(decide(back, NEW, SETTLE))
    assert {f"DELETE queues/v/{NAMES.aside}", f"DELETE queues/v/{NAMES.backlog}"} < set(sent)
    one = holding(body(), getattr(NAMES, place), **left)
    assert isinstance(decide(replace(back, **{place: one}), NEW, SETTLE), Wait)


def test_a_shovel_that_cannot_run_is_told() -> None:
    stuck = cut_off(holding(OLD, messages=3, ready=3), shovel_errors={NAMES.out: "vhost limit reached"})
    assert told(decide(stuck, NEW, SETTLE)) == "its messages cannot be moved aside yet: vhost limit reached"
