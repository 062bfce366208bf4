"""Finds quorum queues that never elected a leader.

Measured on 4.3.6: when the client that declares a quorum queue disconnects during the request (the connection is cut,
the process is killed), the broker may keep the queue with members that never elect a leader. It lists the queue as
running and answers every further declaration with success; publishers wait for their confirm for ever. Only the status
of the members shows it. Such a queue never held a message, so it can be deleted and declared again.
"""

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

from broker_topology.broker.management_api import ManagementApi, path
from broker_topology.planning.state import LEADERLESS, BrokerState, Key, ObjectKind

RECHECK_SECONDS = 5.0
"""A queue that is being declared at the moment has elected a leader after this time."""


async def members(api: ManagementApi, queue: Key) -> list[Mapping[str, Any]]:
    """Returns the live status of each member of a quorum queue; empty for another type and for a missing queue."""
    return await api.get_or_none(path("queues", "quorum", queue.vhost, *queue.name, "status")) or []


def never_had_leader(statuses: Collection[Mapping[str, Any]]) -> bool:
    """Returns whether none of these members took part in an election or has an entry in its log."""
    return bool(statuses) and all(each.get("Term") == 0 and each.get("Last Log Index") == 0 for each in statuses)


async def mark_leaderless_queues(api: ManagementApi, observed: BrokerState, suspects: Collection[Key]) -> None:
    """Marks the leaderless queues among the suspects in `observed`, and removes their bindings, which go with them.

    Sends one request for each suspect, and repeats it after a pause for those that are found.
    """
    found = [each for each in suspects if each in observed[ObjectKind.QUEUE]]
    for pause in (0.0, RECHECK_SECONDS):
        if found:
            await asyncio.sleep(pause)
        answers = await asyncio.gather(*(members(api, each) for each in found))
        found = [each for each, answer in zip(found, answers, strict=True) if never_had_leader(answer)]
    for queue in found:
        observed[ObjectKind.QUEUE][queue] = {**observed[ObjectKind.QUEUE][queue], LEADERLESS: True}
        for each in list(observed[ObjectKind.BINDING]):
            if (each.vhost, *each.name[1:3]) == (queue.vhost, "queue", *queue.name):
                del observed[ObjectKind.BINDING][each]
