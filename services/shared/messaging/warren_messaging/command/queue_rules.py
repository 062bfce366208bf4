"""Which arguments of a queue the library depends on, and which a project may choose."""

from collections.abc import Iterator, Mapping
from typing import Any

from warren_messaging.command.service_topology import NeededQueue

_REASONS = {
    "x-queue-type": "only quorum queues delay retries and keep messages on several nodes",
    "x-delayed-retry-type": "failed messages would return at once, or released ones would wait, too",
    "x-delayed-retry-min": "retries need a first delay",
    "x-delayed-retry-max": "retries need a longest delay",
    "x-delivery-limit": "the broker would remove messages that may still succeed",
    "x-dead-letter-exchange": "rejected messages would be lost",
    "x-dead-letter-strategy": "a rejected message may be lost on its way to the parking lot",
}
_CHOSEN = {"x-delayed-retry-min", "x-delayed-retry-max", "x-dead-letter-exchange"}
"""Any value is right, but there must be one."""


def problem(queue: NeededQueue, argument: str, found: Any, attempts: int) -> str | None:
    """Return why the library cannot work with this value of an argument; None if it can.

    `found` is None for an argument that the queue lacks. `attempts` is the number after which the consumer parks.
    """
    if argument not in _REASONS or argument not in queue.arguments or found == queue.arguments[argument]:
        return None
    if argument in _CHOSEN and found is not None:
        return None
    if argument == "x-delivery-limit" and isinstance(found, int) and (found < 0 or _is_enough(queue, found, attempts)):
        return None
    value = "missing" if found is None else found
    return f"{argument} is {value}, not {queue.arguments[argument]}: {_REASONS[argument]}"


def _is_enough(queue: NeededQueue, limit: int, attempts: int) -> bool:
    return queue.dead_letter is not None and limit > attempts


def problems(queue: NeededQueue, found: Mapping[str, Any], attempts: int) -> Iterator[str]:
    """All problems of a queue with these arguments."""
    for argument in queue.arguments:
        if text := problem(queue, argument, found.get(argument), attempts):
            yield text


def matches(pattern: str, key: str) -> bool:
    """Whether a topic exchange routes `key`, or every key of the pattern `key`, to a binding with `pattern`."""
    return _matches(pattern.split("."), key.split("."))


def _matches(pattern: list[str], key: list[str]) -> bool:
    if not pattern:
        return not key
    if pattern[0] == "#":
        return any(_matches(pattern[1:], key[start:]) for start in range(len(key) + 1))
    return (
        bool(key) and (pattern[0] == key[0] or (pattern[0] == "*" and key[0] != "#")) and _matches(pattern[1:], key[1:])
    )
