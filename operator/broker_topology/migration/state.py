"""Everything at the broker that belongs to the migration of one queue, read in one go.

A migration keeps no state of its own: how far it has come is what exists at the broker under the names here. So it can
be interrupted anywhere and continued by anybody.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from broker_topology.broker.leaderless import members, never_had_leader
from broker_topology.broker.management_api import NOT_FOUND, ManagementApi, path
from broker_topology.errors import RequestFailed
from broker_topology.migration import shovel
from broker_topology.planning.state import Body, BrokerState, ObjectKind, key

PREFIX = "broker_topology.migration."
LONGEST_SUFFIX = ".backlog"
MAX_NAME_BYTES = 255


class MigrationNames(msgspec.Struct, frozen=True):
    """What a migration of `queue` calls its own. A prefix, so that policies and permissions by the queue's own prefix
    do not match."""

    queue: str

    @property
    def entry(self) -> str:
        """Exchange: bound in the queue's stead to everything that the queue is bound to."""
        return PREFIX + self.queue

    @property
    def aside(self) -> str:
        """Exchange and queue: takes what is published while the queue is away."""
        return self.entry + ".aside"

    @property
    def backlog(self) -> str:
        """Exchange and queue: takes what was in the queue when the migration began."""
        return self.entry + LONGEST_SUFFIX

    @property
    def home(self) -> str:
        """Exchange: through which messages come back to the queue."""
        return self.entry + ".home"

    @property
    def lease(self) -> str:
        """Queue: whoever has made it may write."""
        return self.entry + ".lease"

    @property
    def out(self) -> str:
        """Shovel: from the queue to the backlog."""
        return self.entry + ".out"

    @property
    def back(self) -> str:
        """Shovel: from the backlog to the queue."""
        return self.entry + ".back"

    @property
    def last(self) -> str:
        """Shovel: from aside to the queue."""
        return self.entry + ".last"

    @property
    def exchanges(self) -> tuple[str, ...]:
        return (self.entry, self.home, self.backlog, self.aside)

    @property
    def shovels(self) -> tuple[str, ...]:
        return (self.out, self.back, self.last)


class BindingSource(msgspec.Struct, frozen=True):
    """A binding, without its target. `handle` is what the broker calls it among those of the same two ends."""

    source: str
    routing_key: str
    arguments: str
    """As canonical JSON."""
    handle: str

    @property
    def route(self) -> tuple[str, str, str]:
        """Equal for bindings that take the same messages, whatever they lead to."""
        return self.source, self.routing_key, self.arguments


class QueueSnapshot(msgspec.Struct, frozen=True):
    """One queue as it is now."""

    body: Body
    messages: int
    """All of them: ready, with a consumer, waiting for their retry, or on their way to a dead-letter exchange. Up to a
    few seconds old; None of the kinds can be seen live."""
    ready: int
    unacknowledged: int
    still_seconds: float
    """How long nothing at all has happened in it, as far as this process has watched."""
    bindings: tuple[BindingSource, ...]
    exclusive: bool
    limits: tuple[str, ...]
    """What policies make of it that could cost messages."""
    leaderless: bool = False
    """Its declaration was cut off: it never held anything, and never will."""

    @property
    def arguments(self) -> Mapping[str, Any]:
        arguments: Mapping[str, Any] = self.body["arguments"]
        return arguments

    def from_(self, exchange: str) -> bool:
        return any(each.source == exchange for each in self.bindings)


class MigrationState(msgspec.Struct, frozen=True):
    """The whole of it."""

    vhost: str
    names: MigrationNames
    queue: QueueSnapshot | None
    aside: QueueSnapshot | None
    backlog: QueueSnapshot | None
    exchanges: frozenset[str]
    """Those of the migration that exist."""
    source_types: Mapping[str, str]
    """The types of all exchanges of the virtual host."""
    entered: tuple[BindingSource, ...]
    """What leads to the entry exchange."""
    shovels: Mapping[str, Mapping[str, Any]]
    troubles: Mapping[str, str]

    @property
    def direct(self) -> tuple[BindingSource, ...]:
        """What leads to the queue by itself, not through the migration."""
        own = self.names.exchanges
        return tuple(each for each in (self.queue.bindings if self.queue else ()) if each.source not in own)

    @property
    def leaderless(self) -> tuple[str, ...]:
        """Queues of the migration that have to be declared anew."""
        held = {self.names.queue: self.queue, self.names.backlog: self.backlog, self.names.aside: self.aside}
        return tuple(name for name, each in held.items() if each is not None and each.leaderless)

    @property
    def held_aside(self) -> int:
        """Messages that are out of their queue at the moment."""
        return sum(each.messages for each in (self.aside, self.backlog) if each is not None)

    @property
    def nothing(self) -> bool:
        """No trace of a migration."""
        return not (self.exchanges or self.shovels or self.aside or self.backlog)


Still = Callable[[str, object], float]
"""Told a queue's name and its fingerprint, how many seconds that fingerprint has been the same."""

DANGEROUS = ("expires", "message-ttl", "max-length", "max-length-bytes", "delivery-limit")
_LIVE = "?disable_stats=true&enable_queue_totals=true"
"""Past the management database, which would add its own delay. Only the totals are still up to one tick old."""


async def look(api: ManagementApi, vhost: str, names: MigrationNames, still: Still) -> MigrationState:
    """Reads the site. The number of requests does not grow with queues, bindings or messages of others."""
    queue, aside, backlog, exchanges, entered, shovels, troubles = await asyncio.gather(
        _holding(api, vhost, names.queue, still),
        _holding(api, vhost, names.aside, still),
        _holding(api, vhost, names.backlog, still),
        api.get(path("exchanges", vhost) + "?columns=name,type"),
        _or_none(api, path("exchanges", vhost, names.entry, "bindings", "destination")),
        shovel.definitions(api, vhost),
        shovel.troubles(api, vhost),
    )
    types = {each["name"]: str(each["type"]) for each in exchanges}
    return MigrationState(
        vhost=vhost,
        names=names,
        queue=queue,
        aside=aside,
        backlog=backlog,
        exchanges=frozenset(name for name in names.exchanges if name in types),
        source_types=types,
        entered=_bindings(entered or []),
        shovels={name: shovels[name] for name in names.shovels if name in shovels},
        troubles={name: troubles[name] for name in names.shovels if name in troubles},
    )


def under_way(observed: BrokerState, vhost: str, queue: str) -> bool:
    """Whether a migration has left anything at the broker that still has to be brought to its end."""
    names = MigrationNames(queue)
    return any(key(name, vhost) in observed[ObjectKind.EXCHANGE] for name in names.exchanges) or any(
        key(name, vhost) in observed[ObjectKind.QUEUE] for name in (names.aside, names.backlog)
    )


async def _holding(api: ManagementApi, vhost: str, name: str, still: Still) -> QueueSnapshot | None:
    listed = await _or_none(api, path("queues", vhost, name) + _LIVE)
    if listed is None:
        return None
    quorum, bindings = await asyncio.gather(
        members(api, key(name, vhost)) if listed["type"] == "quorum" else _nobody(),
        _or_none(api, path("queues", vhost, name, "bindings")),
    )
    messages = int(listed.get("messages") or 0)
    return QueueSnapshot(
        body={
            "durable": listed["durable"],
            "auto_delete": listed["auto_delete"],
            "arguments": {"x-queue-type": listed["type"], **listed["arguments"]},
        },
        messages=messages,
        ready=int(listed.get("messages_ready") or 0),
        unacknowledged=int(listed.get("messages_unacknowledged") or 0),
        still_seconds=still(name, _progress(quorum) or messages),
        bindings=_bindings(bindings or []),
        exclusive=listed.get("exclusive") is True,
        limits=_limits(listed.get("effective_policy_definition")),
        leaderless=never_had_leader(quorum),
    )


async def _nobody() -> list[Mapping[str, Any]]:
    return []


def _progress(quorum: list[Mapping[str, Any]]) -> tuple[Any, ...]:
    """How far each member's log has come: whatever happens in a quorum queue, moves it."""
    return tuple((each.get("Node Name"), each.get("Term"), each.get("Last Log Index")) for each in quorum)


async def _or_none(api: ManagementApi, target: str) -> Any:
    try:
        return await api.get(target)
    except RequestFailed as exc:
        if exc.status != NOT_FOUND:
            raise
        return None


def _bindings(listed: list[dict[str, Any]]) -> tuple[BindingSource, ...]:
    return tuple(
        BindingSource(
            each["source"],
            each["routing_key"],
            json.dumps(each["arguments"], sort_keys=True, separators=(",", ":")),
            each["properties_key"],
        )
        for each in listed
        if each["source"]  # every queue is bound to the default exchange
    )


def _limits(effective: object) -> tuple[str, ...]:
    return tuple(name for name in DANGEROUS if name in effective) if isinstance(effective, dict) else ()
