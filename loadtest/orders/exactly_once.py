"""Checks that every event was published and processed exactly once, from the broker's counters and the tables.

A run without faults publishes each event once. The broker counts every message that it receives, so that a repeated
publish shows although each inbox absorbs it; a missing event shows in the audit log.
"""

import re
import ssl
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any
from uuid import UUID

import asyncpg
import httpx

import broker_topology
from devtools.invariants import Check
from devtools.local.topology import TOPOLOGY
from devtools.servers.endpoints import BrokerEndpoints
from services.registry import AUDITED

_RECEIVED = re.compile(r"^rabbitmq_global_messages_received_total\{[^}]*\} (\S+)$", re.MULTILINE)
CHANNELS = ("email", "sms")
LOWEST_ID = UUID(int=0)


async def check_published(
    connection: "asyncpg.Connection[Any]", broker: BrokerEndpoints, received_before: int, since: UUID = LOWEST_ID
) -> Check:
    """Check an idle system that has seen no fault since the broker's counter was `received_before`.

    `since` excludes events with older ids, which are ordered by time.
    """
    numbered = await _numbered_events(connection, (*AUDITED, "notification"), since)
    published = await received_messages(broker) - received_before
    detail = f"{published:,} published, {numbered:,} numbered"
    return Check("every event was published exactly once", published == numbered, detail)


async def received_messages(broker: BrokerEndpoints) -> int:
    """Return the number of messages that the broker has received from publishers since it started.

    From its global counter: the counters of exchanges and channels miss the last messages of a channel that is closed.
    """
    async with httpx.AsyncClient(auth=broker.login, verify=ssl.create_default_context(cafile=broker.ca_file)) as client:
        response = await client.get(broker.metrics_url)
        response.raise_for_status()
    return sum(int(float(count)) for count in _RECEIVED.findall(response.text))


async def _numbered_events(connection: "asyncpg.Connection[Any]", services: Sequence[str], since: UUID) -> int:
    """Return the number of events that these services have numbered, and thus committed."""
    total = 0
    for name in services:
        statement = f'SELECT coalesce(sum(last), 0) FROM "{name}".sequences WHERE subject >= $1'  # noqa: S608 - our names
        total += await connection.fetchval(statement, since)
    return total


async def check_inboxes(
    connection: "asyncpg.Connection[Any]", since: UUID = LOWEST_ID, stopped: Collection[str] = ()
) -> Check:
    """Check that each consumer has processed the events that were routed to it, and no other.

    `since` is as in `check_published`; `stopped` are consumers that do not run.
    """
    types = dict(
        await connection.fetch(
            "SELECT type, count(*) FROM audit.events WHERE time >= to_timestamp($1) AND id >= $2 GROUP BY type",
            (since.int >> 80) / 1000,
            since,
        )
    )
    notifications = await _numbered_events(connection, ("notification",), since)
    wanted = {name: sum(types.get(key, 0) for key in keys) for name, keys in _bindings().items()}
    wanted["audit"] = await _numbered_events(connection, AUDITED, since)
    wanted |= dict.fromkeys(CHANNELS, notifications)
    found: dict[str, int] = {}
    for name in wanted.keys() - set(stopped):
        statement = f'SELECT count(*) FROM "{name}".inbox WHERE consumer = $1 AND dedup_key >= $2'  # noqa: S608 - our names
        found[name] = await connection.fetchval(statement, name, since)
    wrong = [f"{name} has {count:,} of {wanted[name]:,}" for name, count in found.items() if count != wanted[name]]
    detail = "; ".join(wrong) or f"{sum(found.values()):,} deliveries"
    return Check("inboxes hold what was routed to them", not wrong, detail)


@cache
def _bindings() -> dict[str, list[str]]:
    """Service to the event types that its queue is bound to in the topology files."""
    bound: dict[str, list[str]] = {}
    for loaded in broker_topology.load([TOPOLOGY]):
        for binding in loaded.spec.bindings:
            if binding.source == "workflow.exchange" and binding.queue:
                bound.setdefault(binding.queue.removesuffix(".queue"), []).append(binding.routing_key)
    return bound
