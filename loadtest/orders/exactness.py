"""Exactly once: what the broker counted, against what the services stored.

A faultless run publishes each event once. The broker counts every message that it takes, so a repetition that each
consumer's inbox absorbed shows here and nowhere else; that none is missing shows in the audit log.
"""

import re
import ssl
from collections.abc import Collection
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import httpx

import broker_topology
from devtools.invariants import Check
from devtools.local.system import System
from devtools.local.topology import TOPOLOGY
from devtools.servers.endpoints import BrokerEndpoints
from services.registry import AUDITED

if TYPE_CHECKING:
    Connection = asyncpg.Connection[Any]
else:
    Connection = asyncpg.Connection

_RECEIVED = re.compile(r"^rabbitmq_global_messages_received_total\{[^}]*\} (\S+)$", re.MULTILINE)
CHANNELS = ("email", "sms")


FIRST = UUID(int=0)


async def judge(system: System, received_before: int, since: UUID = FIRST, away: Collection[str] = ()) -> list[Check]:
    """For a system at rest that has seen no fault since the broker's count was `received_before`.

    `since` leaves out what is older than this id, `away` consumers that do not run.
    """
    connection = await asyncpg.connect(system.servers.postgres.address.dsn())
    try:
        numbered = await _numbered(connection, (*AUDITED, "notification"), since)
        published = await received(system.servers.broker.address) - received_before
        detail = f"{published:,} published, {numbered:,} numbered"
        once = Check("every event was published exactly once", published == numbered, detail)
        return [once, await inboxes(connection, since, away)]
    finally:
        await connection.close()


async def received(broker: BrokerEndpoints) -> int:
    """How many messages the broker has taken from publishers since it started.

    Its global counter, since those of exchanges and channels miss what a channel that soon closes has sent.
    """
    login = (broker.admin_username, broker.admin_password)
    async with httpx.AsyncClient(auth=login, verify=ssl.create_default_context(cafile=broker.ca_file)) as client:
        answer = await client.get(broker.metrics_url)
        answer.raise_for_status()
    return sum(int(float(count)) for count in _RECEIVED.findall(answer.text))


async def _numbered(connection: Connection, services: tuple[str, ...], since: UUID) -> int:
    """How many events these services have given numbers to, which is how many they have committed."""
    total = 0
    for name in services:
        total += await connection.fetchval(
            f'SELECT coalesce(sum(last), 0) FROM "{name}".sequences WHERE subject >= $1',  # noqa: S608 - our names
            since,
        )
    return total


async def inboxes(connection: Connection, since: UUID = FIRST, away: Collection[str] = ()) -> Check:
    """Each consumer has processed as many events as were routed to it, and no other. For `since` see `judge`; ids
    are ordered by time."""
    types = dict(
        await connection.fetch(
            "SELECT type, count(*) FROM audit.events WHERE time >= to_timestamp($1) AND id >= $2 GROUP BY type",
            (since.int >> 80) / 1000,
            since,
        )
    )
    told = await _numbered(connection, ("notification",), since)
    wanted = {name: sum(types.get(key, 0) for key in keys) for name, keys in _bound().items()}
    wanted |= {"audit": await _numbered(connection, AUDITED, since)} | dict.fromkeys(CHANNELS, told)
    wanted = {name: count for name, count in wanted.items() if name not in away}
    found = {
        name: int(
            await connection.fetchval(
                f'SELECT count(*) FROM "{name}".inbox WHERE consumer = $1 AND logical_id >= $2',  # noqa: S608
                name,
                since,
            )
        )
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
