"""Determines whether a queue is empty without consuming from it.

Measured on 4.3.6: the counts of quorum queues and streams are up to 5 s old; they may be 0 although the queue has just
received its first message. A count of 0 is therefore used only after `QUIET_SECONDS` in which no message could be
routed to the queue; a queue that supports it is also peeked into. `if-empty` does not help: quorum queues refuse it,
and streams accept it and delete their messages.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from broker_topology.broker.management_api import NOT_FOUND, ManagementApi, path
from broker_topology.errors import RequestFailed
from broker_topology.planning.state import Key, ObjectId, ObjectKind

QUIET_SECONDS = 11.0
"""Two periods of the broker's counting, and a margin."""
COUNTED_WITHIN_SECONDS = 15.0
"""A new queue has no count for up to 5 s."""
POLL_SECONDS = 0.5
COLUMNS = "?columns=name,messages,messages_ready,messages_unacknowledged,messages_dlx,messages_delayed,consumers,state"
MESSAGE_COUNTS = ("messages", "messages_dlx", "messages_delayed")


async def backlogs(api: ManagementApi, queues: Iterable[Key], *, wait: bool) -> dict[ObjectId, str]:
    """Returns the queues that are in use, each with the reason. One listing for each virtual host.

    A queue without any count is left out; with `wait` it is polled for `COUNTED_WITHIN_SECONDS`, and is then in use.
    """
    requested = set(queues)
    until = asyncio.get_running_loop().time() + (COUNTED_WITHIN_SECONDS if wait else 0)
    while True:
        found, uncounted = await _listed(api, requested)
        if not uncounted:
            return found
        if asyncio.get_running_loop().time() >= until:
            return (uncounted | found) if wait else found
        await asyncio.sleep(POLL_SECONDS)


async def _listed(api: ManagementApi, requested: set[Key]) -> tuple[dict[ObjectId, str], dict[ObjectId, str]]:
    found: dict[ObjectId, str] = {}
    uncounted: dict[ObjectId, str] = {}
    for vhost in sorted({each.vhost for each in requested}):
        for each in await api.get(path("queues", vhost) + COLUMNS):
            key = Key.of(each["name"], vhost)
            if key not in requested:
                continue
            if each.get("messages") is None:
                state = each.get("state", "unknown")
                uncounted[ObjectKind.QUEUE, key] = f"the broker does not count its messages (state {state})"
            elif reason := _reason(each):
                found[ObjectKind.QUEUE, key] = reason
    return found, uncounted


async def peek(api: ManagementApi, queue: Key, kind: str) -> str:
    """Returns the reason why this queue is in use, or "". A message that is found returns to its position."""
    if kind == "stream":
        return ""  # has no such operation
    try:
        messages = await api.post(
            path("queues", queue.vhost, *queue.name, "get"),
            {"count": 1, "ackmode": "ack_requeue_true", "encoding": "base64"},
        )
    except RequestFailed as exc:
        if exc.status == NOT_FOUND:
            return ""
        raise
    return f"holds {_messages(1 + messages[0]['message_count'])}" if messages else ""


def _reason(each: dict[str, Any]) -> str:
    if messages := sum(each.get(name) or 0 for name in MESSAGE_COUNTS):
        return f"holds {_messages(messages)}"
    consumers = each.get("consumers") or 0
    return f"has {consumers} consumer{'s' if consumers > 1 else ''}" if consumers else ""


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count} messages"
