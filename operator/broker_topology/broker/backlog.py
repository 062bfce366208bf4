"""What a queue holds, as well as that can be known without consuming from it.

Measured on 4.3.6: the counts of quorum queues and streams are up to 5 s old, 0 for a queue that has just got its first
message included. So a count of nothing is believed only after `QUIET_SECONDS` in which nothing could be routed to the
queue, and of a queue that can be looked into, only when it is then really empty. `if-empty` is of no use: quorum queues
refuse it, and streams ignore it and delete what they hold.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from broker_topology.broker.management_api import NOT_FOUND, ManagementApi, path
from broker_topology.errors import RequestFailed
from broker_topology.planning.state import Key, ObjectId, ObjectKind, key

QUIET_SECONDS = 11.0
"""Two periods of the broker's counting, and a little."""
COUNTED_WITHIN_SECONDS = 15.0
"""A new queue has no count at all for up to 5 s."""
LOOK_AGAIN_SECONDS = 0.5
COLUMNS = "?columns=name,messages,messages_ready,messages_unacknowledged,messages_dlx,messages_delayed,consumers,state"
HELD = ("messages", "messages_dlx", "messages_delayed")


async def backlogs(api: ManagementApi, queues: Iterable[Key], *, wait: bool) -> dict[ObjectId, str]:
    """Why each of these queues must stay, for those that must: one listing for each virtual host.

    Of a queue that was never counted nothing is said; with `wait` it gets some time to be, and must stay if it is not.
    """
    wanted = set(queues)
    until = asyncio.get_running_loop().time() + (COUNTED_WITHIN_SECONDS if wait else 0)
    while True:
        found, uncounted = await _listed(api, wanted)
        if not uncounted:
            return found
        if asyncio.get_running_loop().time() >= until:
            return (uncounted | found) if wait else found
        await asyncio.sleep(LOOK_AGAIN_SECONDS)


async def _listed(api: ManagementApi, wanted: set[Key]) -> tuple[dict[ObjectId, str], dict[ObjectId, str]]:
    uncounted: dict[ObjectId, str] = {}
    found: dict[ObjectId, str] = {}
    for vhost in sorted({each.vhost for each in wanted}):
        for each in await api.get(path("queues", vhost) + COLUMNS):
            identity = key(each["name"], vhost)
            if identity not in wanted:
                continue
            if each.get("messages") is None:
                state = each.get("state", "unknown")
                uncounted[ObjectKind.QUEUE, identity] = f"the broker does not count what it holds (state {state})"
            elif reason := _reason(each):
                found[ObjectKind.QUEUE, identity] = reason
    return found, uncounted


async def peeked(api: ManagementApi, queue: Key, kind: str) -> str:
    """Why this queue must stay after all, or nothing. A message that is there goes back to its place."""
    if kind == "stream":
        return ""  # has no such operation
    try:
        messages = await api.ask(
            path("queues", queue.vhost, *queue.name, "get"),
            {"count": 1, "ackmode": "ack_requeue_true", "encoding": "base64"},
        )
    except RequestFailed as exc:
        if exc.status == NOT_FOUND:
            return ""
        raise
    return f"holds {_messages(1 + messages[0]['message_count'])}" if messages else ""


def _reason(each: dict[str, Any]) -> str:
    if messages := sum(each.get(name) or 0 for name in HELD):
        return f"holds {_messages(messages)}"
    consumers = each.get("consumers") or 0
    return f"has {consumers} consumer{'s' if consumers > 1 else ''}" if consumers else ""


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count} messages"
