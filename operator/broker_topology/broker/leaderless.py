"""Quorum queues that are there and do not live.

Measured on 4.3.6: when whoever declares a quorum queue goes away in the middle of it (the HTTP connection is cut, the
process is killed), the queue may be on record with members that never elect a leader. The broker lists it as running
and answers every further declaration with success; a publisher waits for its confirm for ever. Only the status of its
members tells. Such a queue never held a message, so it may be deleted and declared anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

from broker_topology.broker.management_api import NOT_FOUND, ManagementApi, path
from broker_topology.errors import RequestFailed
from broker_topology.planning.state import LEADERLESS, BrokerState, Key, ObjectKind

AGAIN_SECONDS = 5.0
"""Whoever is just declaring a queue has a leader for it by then."""


async def members(api: ManagementApi, queue: Key) -> list[Mapping[str, Any]]:
    """How far each member of a quorum queue has come, asked live; none when it is no quorum queue, or not there."""
    try:
        answer: list[Mapping[str, Any]] = await api.get(path("queues", "quorum", queue.vhost, *queue.name, "status"))
    except RequestFailed as exc:
        if exc.status != NOT_FOUND:
            raise
        return []
    return answer


def never_had_leader(several: Collection[Mapping[str, Any]]) -> bool:
    """Whether none of these members has ever taken part in an election, nor has any entry in its log."""
    return bool(several) and all(each.get("Term") == 0 and each.get("Last Log Index") == 0 for each in several)


async def mark(api: ManagementApi, observed: BrokerState, suspects: Collection[Key]) -> None:
    """Marks those of the suspects in `observed` that are lifeless. One request for each, and a pause if there are any.

    Their bindings are taken out: they go with the queue.
    """
    found = [each for each in suspects if each in observed[ObjectKind.QUEUE]]
    for pause in (0.0, AGAIN_SECONDS):
        if found:
            await asyncio.sleep(pause)
        asked = await asyncio.gather(*(members(api, each) for each in found))
        found = [each for each, answer in zip(found, asked, strict=True) if never_had_leader(answer)]
    for dead in found:
        observed[ObjectKind.QUEUE][dead] = {**observed[ObjectKind.QUEUE][dead], LEADERLESS: True}
        for each in list(observed[ObjectKind.BINDING]):
            if (each.vhost, *each.name[1:3]) == (dead.vhost, "queue", *dead.name):
                del observed[ObjectKind.BINDING][each]
