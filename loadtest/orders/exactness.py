"""Exactly once: what the broker counted, against what the services stored.

A faultless run publishes each event once. The broker counts messages that enter an exchange, so a repetition that
every consumer's inbox absorbed shows here and nowhere else; that none is missing shows in the audit log.
"""

import asyncio
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

import broker_topology
from warren.invariants import AUDITED, Check
from warren.local.system import TOPOLOGY, VHOST, System

if TYPE_CHECKING:
    Connection = asyncpg.Connection[Any]
else:
    Connection = asyncpg.Connection

STATISTICS_SECONDS = 10.0
"""The broker's counters follow its channels by up to a few seconds."""
CHANNELS = ("email", "sms")


async def judge(system: System) -> list[Check]:
    """For a system at rest that has seen no fault."""
    connection = await asyncpg.connect(system.servers.postgres.address.dsn())
    try:
        stored = {
            "order.exchange": await _numbered(connection, AUDITED),
            "notification.exchange": await _numbered(connection, ("notification",)),
        }
        counted = await _published(system, stored)
        return [_exactly_once(stored, counted), await inboxes(connection)]
    finally:
        await connection.close()


def _exactly_once(stored: Mapping[str, int], counted: Mapping[str, int]) -> Check:
    detail = "; ".join(f"{name}: {counted[name]:,} published, {stored[name]:,} numbered" for name in stored)
    return Check("every event was published exactly once", counted == stored, detail)


async def _numbered(connection: Connection, services: tuple[str, ...]) -> int:
    """How many events these services have given numbers to, which is how many they have committed."""
    total = 0
    for name in services:
        total += await connection.fetchval(f'SELECT coalesce(sum(last), 0) FROM "{name}".sequences')  # noqa: S608
    return total


async def _published(system: System, wanted: Mapping[str, int]) -> dict[str, int]:
    deadline = asyncio.get_running_loop().time() + STATISTICS_SECONDS
    while True:
        counted = {name: await asyncio.to_thread(_entered, system, name) for name in wanted}
        if counted == wanted or asyncio.get_running_loop().time() > deadline:
            return counted
        await asyncio.sleep(0.5)


def _entered(system: System, exchange: str) -> int:
    answer = msgspec.json.decode(system.management(f"exchanges/{VHOST}/{exchange}"))
    return int(answer.get("message_stats", {}).get("publish_in", 0))


async def inboxes(connection: Connection) -> Check:
    """Each consumer has processed as many events as were routed to it, and no other."""
    types = dict(await connection.fetch("SELECT type, count(*) FROM audit.events GROUP BY type"))
    told = await _numbered(connection, ("notification",))
    wanted = {name: sum(types.get(key, 0) for key in keys) for name, keys in _bound().items()}
    wanted |= {"audit": await _numbered(connection, AUDITED)} | dict.fromkeys(CHANNELS, told)
    found = {
        name: int(await connection.fetchval(f'SELECT count(*) FROM "{name}".inbox'))  # noqa: S608 - our names
        for name in wanted
    }
    wrong = [f"{name} has {found[name]:,} of {wanted[name]:,}" for name in wanted if found[name] != wanted[name]]
    detail = "; ".join(wrong) or f"{sum(found.values()):,} deliveries"
    return Check("inboxes hold what was routed to them", not wrong, detail)


@cache
def _bound() -> dict[str, list[str]]:
    """Event types by the service whose queue is bound to them, as the topology files say."""
    bound: dict[str, list[str]] = {}
    for loaded in broker_topology.load([TOPOLOGY]):
        for binding in loaded.spec.bindings:
            if binding.source == "workflow.exchange" and binding.queue:
                bound.setdefault(binding.queue.removesuffix(".queue"), []).append(binding.routing_key)
    return bound
