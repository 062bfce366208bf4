"""The state of the migration of one queue, read from the broker in one go.

A migration stores no state of its own: its progress is the set of objects that exist at the broker under the names of
`MigrationNames`. So it can be interrupted at any point and continued by any process.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from broker_topology.broker.leaderless import members, never_had_leader
from broker_topology.broker.management_api import ManagementApi, path
from broker_topology.migration import shovel
from broker_topology.planning.state import Body, BrokerState, Key, ObjectKind

PREFIX = "broker_topology.migration."


class MigrationNames:
    """The names of the objects of a migration. They have a prefix, so that policies and permissions for the prefix of
    the queue do not match them."""

    def __init__(self, queue: str) -> None:
        self.queue = queue
        self.entry = PREFIX + queue
        """Exchange: replaces the queue as the target of every binding."""
        self.aside = f"{self.entry}.aside"
        """Exchange and queue: receive messages that are published while the queue does not exist."""
        self.backlog = f"{self.entry}.backlog"
        """Exchange and queue: receive the messages that were in the queue when the migration began."""
        self.home = f"{self.entry}.home"
        """Exchange: messages return to the queue through it."""
        self.lease = f"{self.entry}.lease"
        """Queue: the lease, see `lease`."""
        self.out = f"{self.entry}.out"
        """Shovel: from the queue to the backlog."""
        self.back = f"{self.entry}.back"
        """Shovel: from the backlog to the queue."""
        self.last = f"{self.entry}.last"
        """Shovel: from aside to the queue."""
        self.exchanges = (self.entry, self.home, self.backlog, self.aside)
        self.shovels = (self.out, self.back, self.last)


class BindingSource(msgspec.Struct, frozen=True):
    """A binding without its target. `properties_key` identifies it among those with the same ends."""

    source: str
    routing_key: str
    arguments: str
    """Canonical JSON."""
    properties_key: str

    @property
    def route(self) -> tuple[str, str, str]:
        """Equal for bindings that match the same messages, whatever their target."""
        return self.source, self.routing_key, self.arguments


class QueueSnapshot(msgspec.Struct, frozen=True):
    """One queue at one moment."""

    body: Body
    messages: int
    """Ready, unacknowledged, waiting for a retry or for a dead-letter exchange. Up to a few seconds old."""
    ready: int
    unacknowledged: int
    unchanged_seconds: float
    """How long no event has happened in the queue, as far as this process has observed it."""
    bindings: tuple[BindingSource, ...]
    exclusive: bool
    limits: tuple[str, ...]
    """Settings of policies that could drop messages."""
    leaderless: bool = False
    """Whether its declaration was interrupted, so it can hold no message."""

    @property
    def arguments(self) -> Mapping[str, Any]:
        arguments: Mapping[str, Any] = self.body["arguments"]
        return arguments

    def is_bound_to(self, exchange: str) -> bool:
        return any(each.source == exchange for each in self.bindings)


class MigrationState(msgspec.Struct, frozen=True):
    """The queue of one migration, and all objects of the migration that exist."""

    vhost: str
    names: MigrationNames
    queue: QueueSnapshot | None
    aside: QueueSnapshot | None
    backlog: QueueSnapshot | None
    exchanges: frozenset[str]
    """The exchanges of the migration that exist."""
    exchange_types: Mapping[str, str]
    """The types of all exchanges of the virtual host."""
    entered: tuple[BindingSource, ...]
    """The bindings to the entry exchange."""
    shovels: Mapping[str, Mapping[str, Any]]
    shovel_errors: Mapping[str, str]

    @property
    def direct(self) -> tuple[BindingSource, ...]:
        """The bindings to the queue that are not part of the migration."""
        own = self.names.exchanges
        return tuple(each for each in (self.queue.bindings if self.queue else ()) if each.source not in own)

    @property
    def leaderless(self) -> tuple[str, ...]:
        """The queues that must be declared again."""
        queues = {self.names.queue: self.queue, self.names.backlog: self.backlog, self.names.aside: self.aside}
        return tuple(name for name, each in queues.items() if each is not None and each.leaderless)

    @property
    def messages_aside(self) -> int:
        """Messages that are outside of their queue at the moment."""
        return sum(each.messages for each in (self.aside, self.backlog) if each is not None)

    @property
    def untouched(self) -> bool:
        """Whether no object of a migration exists."""
        return not (self.exchanges or self.shovels or self.aside or self.backlog)


UnchangedSeconds = Callable[[str, object], float]
"""Returns for how many seconds the fingerprint of the named queue has been the same."""

LOSSY_SETTINGS = ("expires", "message-ttl", "max-length", "max-length-bytes", "delivery-limit")
_LIVE = "?disable_stats=true&enable_queue_totals=true"
"""Bypasses the management database, which adds its own delay. The totals are still up to one tick old."""


async def read_state(
    api: ManagementApi, vhost: str, names: MigrationNames, unchanged: UnchangedSeconds
) -> MigrationState:
    """Reads the state. The number of requests does not grow with queues, bindings or messages of others."""
    queue, aside, backlog, exchanges, entered, shovels, errors = await asyncio.gather(
        _snapshot(api, vhost, names.queue, unchanged),
        _snapshot(api, vhost, names.aside, unchanged),
        _snapshot(api, vhost, names.backlog, unchanged),
        api.get(path("exchanges", vhost) + "?columns=name,type"),
        api.get_or_none(path("exchanges", vhost, names.entry, "bindings", "destination")),
        shovel.definitions(api, vhost),
        shovel.errors(api, vhost),
    )
    types = {each["name"]: str(each["type"]) for each in exchanges}
    return MigrationState(
        vhost=vhost,
        names=names,
        queue=queue,
        aside=aside,
        backlog=backlog,
        exchanges=frozenset(name for name in names.exchanges if name in types),
        exchange_types=types,
        entered=_bindings(entered),
        shovels={name: shovels[name] for name in names.shovels if name in shovels},
        shovel_errors={name: errors[name] for name in names.shovels if name in errors},
    )


def under_way(observed: BrokerState, vhost: str, queue: str) -> bool:
    """Returns whether any object of a migration of this queue exists, so that the migration must be completed."""
    names = MigrationNames(queue)
    return any(Key.of(name, vhost) in observed[ObjectKind.EXCHANGE] for name in names.exchanges) or any(
        Key.of(name, vhost) in observed[ObjectKind.QUEUE] for name in (names.aside, names.backlog)
    )


async def _snapshot(api: ManagementApi, vhost: str, name: str, unchanged: UnchangedSeconds) -> QueueSnapshot | None:
    listed = await api.get_or_none(path("queues", vhost, name) + _LIVE)
    if listed is None:
        return None
    bindings = await api.get_or_none(path("queues", vhost, name, "bindings"))
    quorum = await members(api, Key.of(name, vhost)) if listed["type"] == "quorum" else []
    messages = int(listed.get("messages") or 0)
    # every event in a quorum queue changes the log of a member
    logs = tuple((each.get("Node Name"), each.get("Term"), each.get("Last Log Index")) for each in quorum)
    limits = listed.get("effective_policy_definition")
    return QueueSnapshot(
        body={
            "durable": listed["durable"],
            "auto_delete": listed["auto_delete"],
            "arguments": {"x-queue-type": listed["type"], **listed["arguments"]},
        },
        messages=messages,
        ready=int(listed.get("messages_ready") or 0),
        unacknowledged=int(listed.get("messages_unacknowledged") or 0),
        unchanged_seconds=unchanged(name, logs or messages),
        bindings=_bindings(bindings),
        exclusive=listed.get("exclusive") is True,
        limits=tuple(name for name in LOSSY_SETTINGS if name in limits) if isinstance(limits, dict) else (),
        leaderless=never_had_leader(quorum),
    )


def _bindings(listed: list[dict[str, Any]] | None) -> tuple[BindingSource, ...]:
    return tuple(
        BindingSource(
            each["source"],
            each["routing_key"],
            json.dumps(each["arguments"], sort_keys=True, separators=(",", ":")),
            each["properties_key"],
        )
        for each in listed or []
        if each["source"]  # every queue is bound to the default exchange
    )
