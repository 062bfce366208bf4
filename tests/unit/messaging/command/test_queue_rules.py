"""Which queues the library can work with."""

from typing import Any

import pytest

from warren_messaging.command.queue_rules import matches, problems
from warren_messaging.command.service_topology import NeededQueue

QUEUE = NeededQueue("coffee.queue", ("events.dlx", "coffee.dlq"))
PARKING_LOT = NeededQueue("coffee.dlq")


@pytest.mark.parametrize("queue", [QUEUE, PARKING_LOT])
def test_the_needed_arguments_have_no_problem(queue: NeededQueue) -> None:
    assert list(problems(queue, queue.arguments, attempts=6)) == []


@pytest.mark.parametrize(
    "chosen",
    [
        {"x-delayed-retry-min": 5000},
        {"x-delayed-retry-max": 3_600_000},
        {"x-delivery-limit": -1},
        {"x-delivery-limit": 7},
        {"x-dead-letter-exchange": "orders.dlx", "x-dead-letter-routing-key": "parked"},
        {"x-max-length": 10_000},
    ],
)
def test_a_project_may_choose(chosen: dict[str, Any]) -> None:
    assert list(problems(QUEUE, {**QUEUE.arguments, **chosen}, attempts=6)) == []


@pytest.mark.parametrize(
    ("wrong", "part"),
    [
        ({"x-queue-type": "classic"}, "x-queue-type is classic"),
        ({"x-delivery-limit": 6}, "x-delivery-limit is 6"),
        ({"x-delivery-limit": None}, "x-delivery-limit is missing"),
        ({"x-delayed-retry-type": "returned"}, "x-delayed-retry-type is returned"),
        ({"x-delayed-retry-min": None}, "x-delayed-retry-min is missing"),
        ({"x-dead-letter-exchange": None}, "rejected messages would be lost"),
        ({"x-dead-letter-strategy": "at-most-once"}, "may be lost on its way"),
    ],
)
def test_the_library_depends_on(wrong: dict[str, Any], part: str) -> None:
    found = list(problems(QUEUE, {**QUEUE.arguments, **wrong}, attempts=6))
    assert len(found) == 1
    assert part in found[0]


def test_a_parking_lot_must_not_remove_messages() -> None:
    assert "would remove messages" in next(problems(PARKING_LOT, {"x-queue-type": "quorum"}, attempts=0))
    limited = {"x-queue-type": "quorum", "x-delivery-limit": 1000}
    assert "would remove messages" in next(problems(PARKING_LOT, limited, attempts=0))


@pytest.mark.parametrize(
    ("pattern", "key", "expected"),
    [
        ("coffee.ordered", "coffee.ordered", True),
        ("coffee.ordered", "coffee.served", False),
        ("coffee.*", "coffee.ordered", True),
        ("coffee.*", "coffee.cold.ordered", False),
        ("coffee.#", "coffee", True),
        ("#.ordered", "coffee.cold.ordered", True),
        ("#", "coffee.ordered", True),
        ("#", "#", True),
        ("*", "#", False),
        ("coffee.*", "#", False),
        ("", "coffee", False),
    ],
)
def test_patterns_of_topic_exchanges(pattern: str, key: str, expected: bool) -> None:
    assert matches(pattern, key) is expected
