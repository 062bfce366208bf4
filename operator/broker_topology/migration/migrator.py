"""Gives a queue other type or arguments, which no broker can change in place, and keeps every message.

The moves are in `migration_moves`; here they are carried out, one after the other, each decided anew from what the
broker shows. A run that is cut off anywhere is continued by the next one, in this process or another.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from broker_topology.broker import ownership
from broker_topology.broker.management_api import ManagementApi
from broker_topology.errors import MigrationBusy, RequestFailed
from broker_topology.migration import shovel
from broker_topology.migration.context import MIGRATION_NOTE, HeldObject, MigrationContext
from broker_topology.migration.lease import MigrationLease, new_number
from broker_topology.migration.state import MigrationNames, look, under_way
from broker_topology.migration.steps import (
    ApiRequest,
    MigrationBlocked,
    MigrationDone,
    SendRequests,
    Wait,
    decide,
    refusal,
)
from broker_topology.planning.state import Body, Key, ObjectKind

SETTLE_SECONDS = 12.0
"""Longer than two ticks of a quorum queue (5 s), after each of which the broker's counts are true."""
POLL_SECONDS = 1.0
UNMOVABLE = "cannot be migrated"
"""Begins the message of a queue for which somebody has to do something first."""

Sent = Callable[[ApiRequest], None]


class Migrator:
    """Carries out the migrations of one process; a `RunMigrations` for `reconcile`.

    Each call does what can be done now and waits for the rest at most `patience_seconds`; call again after
    POLL_SECONDS as long as it returns anything. The only thing it remembers is since when a queue has been still; a
    restart begins that watch anew. `sent` is told each write after the broker has taken it, `told` what
    is waited for.
    """

    def __init__(
        self,
        *,
        settle_seconds: float = SETTLE_SECONDS,
        patience_seconds: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        number: int | None = None,
        sent: Sent | None = None,
        told: Callable[[str], None] | None = None,
    ) -> None:
        self._settle_seconds = settle_seconds
        self._patience_seconds = patience_seconds
        self._clock = clock
        self._number = new_number() if number is None else number
        self._sent = sent
        self._told = told
        self._seen: dict[tuple[str, str, str], tuple[object, float]] = {}
        self._noting = asyncio.Lock()
        self._most: dict[Key, int] = {}

    async def __call__(self, situation: MigrationContext) -> Sequence[HeldObject]:
        """Moves on all migrations of one owner. Raises `BrokerError`s, after which the next call goes on."""
        wanted = dict(_wanted(situation))
        if not wanted:
            return ()
        moves = await asyncio.gather(
            *(self._migrate(situation, each, body) for each, body in wanted.items()), return_exceptions=True
        )
        left: dict[Key, Wait | MigrationBlocked] = {}
        for each, move in zip(wanted, moves, strict=True):
            if isinstance(move, BaseException):
                raise move  # all others have come as far as they could
            if not isinstance(move, MigrationDone):
                left[each] = move
        await self._note(situation, {each: wanted[each] for each, move in left.items() if isinstance(move, Wait)})
        return [held for each, move in left.items() for held in _held(situation, each, move)]

    async def _migrate(
        self, situation: MigrationContext, identity: Key, wanted: Body
    ) -> Wait | MigrationBlocked | MigrationDone:
        begun = self._clock()
        until = begun + self._patience_seconds
        said = ""
        while True:
            move = await self._advance(situation, identity, wanted)
            if isinstance(move, MigrationDone) and self._told is not None:
                seconds, most = self._clock() - begun, self._most.pop(identity, 0)
                self._told(f"queue {identity}: migrated in {seconds:.0f} s; up to {most:,} messages were held aside")
            if not isinstance(move, Wait) or self._clock() >= until:
                return move
            if self._told is not None and move.why != said:
                said = move.why
                self._told(f"queue {identity}: {said}")
            await asyncio.sleep(POLL_SECONDS)

    async def _advance(
        self, situation: MigrationContext, identity: Key, wanted: Body
    ) -> Wait | MigrationBlocked | MigrationDone:
        """Every move that can be made now, and what stands against the next."""
        api, vhost, names = situation.api, identity.vhost, MigrationNames(identity.name[0])
        while True:
            try:
                async with MigrationLease(api, vhost, names.lease, self._number) as lease:
                    site = await look(api, vhost, names, self._still(api, vhost))
                    self._most[identity] = max(self._most.get(identity, 0), site.held_aside)
                    move = decide(site, wanted, self._settle_seconds)
                    if not isinstance(move, SendRequests):
                        return move
                    if site.nothing:
                        if (lacking := await shovel.lacking(api)) is not None:
                            return MigrationBlocked(lacking)
                        await self._note(situation, {identity: wanted}, also=True)
                    await lease.renew()
                    for write in move.writes:
                        await self._send(api, write)
            except MigrationBusy as exc:
                return Wait(str(exc))
            except RequestFailed as exc:
                if shovel.UNKNOWN_COMPONENT not in str(exc):
                    raise
                return MigrationBlocked(f"plugin {shovel.PLUGIN} is not enabled on a node; {shovel.HOW_TO_ENABLE}")

    async def _note(self, situation: MigrationContext, migrations: Mapping[Key, Body], *, also: bool = False) -> None:
        """Writes down what is under way, so that a later run knows, whatever the resource says by then."""
        async with self._noting:
            known = await ownership.records(situation.api)
            record = known.get(situation.owner) or ownership.OwnerRecord(situation.owner)
            noted = _noted(record.notes)
            new = {**noted, **migrations} if also else dict(migrations)
            if new == noted:
                return
            listed = [[identity.vhost, identity.name[0], dict(body)] for identity, body in new.items()]
            notes = {topic: note for topic, note in record.notes.items() if topic != MIGRATION_NOTE}
            if listed:
                notes[MIGRATION_NOTE] = listed
            await ownership.write(situation.api, replace(record, notes=notes))

    async def _send(self, api: ManagementApi, write: ApiRequest) -> None:
        match write.method:
            case "PUT":
                await api.put(write.target, write.body)
            case "POST":
                await api.post(write.target, write.body)
            case _:
                await api.delete(write.target)
        if self._sent is not None:
            self._sent(write)

    def _still(self, api: ManagementApi, vhost: str) -> Callable[[str, object], float]:
        def still(name: str, fingerprint: object) -> float:
            now = self._clock()
            known, since = self._seen.get((api.url, vhost, name), (None, now))
            if known != fingerprint:
                since = now
                self._seen[api.url, vhost, name] = fingerprint, now
            return now - since

        return still


async def foreseen(api: ManagementApi, queue: Key, wanted: Body) -> str | None:
    """Why this queue could not be migrated as things are; None when it could. Writes nothing."""
    site = await look(api, queue.vhost, MigrationNames(queue.name[0]), lambda _name, _fingerprint: 0.0)
    if site.queue is None or not site.nothing:
        return None
    return refusal(site, site.queue, wanted) or await shovel.lacking(api)


def _wanted(situation: MigrationContext) -> Iterator[tuple[Key, Body]]:
    """Every queue to be migrated now, and what it is to be."""
    blocked = {step.key for step in situation.plan.blocked if step.kind is ObjectKind.QUEUE}
    noted = _noted(situation.record.notes)
    wanted, observed = situation.wanted[ObjectKind.QUEUE], situation.observed[ObjectKind.QUEUE]
    for identity, body in wanted.items():
        asked = identity in blocked and identity in situation.asked
        if asked or identity in noted or under_way(situation.observed, identity.vhost, identity.name[0]):
            yield identity, body
    for identity, body in noted.items():
        if identity not in wanted:  # no longer in the resource: nothing new, but every message back into its queue
            yield identity, observed.get(identity, body)


def _held(situation: MigrationContext, identity: Key, move: Wait | MigrationBlocked) -> Iterator[HeldObject]:
    """The queue, and while its messages are moving, its bindings."""
    if isinstance(move, MigrationBlocked):
        steps = [step for step in situation.plan.blocked if (step.kind, step.key) == (ObjectKind.QUEUE, identity)]
        differences = "; ".join(str(change) for step in steps for change in step.changes)
        yield HeldObject(ObjectKind.QUEUE, identity, f"{UNMOVABLE}: {move.why} ({differences})", blocked=True)
        return
    yield HeldObject(ObjectKind.QUEUE, identity, move.why)
    target = ("queue", identity.name[0])
    claimed = {key for kind, key in situation.record.claims if kind is ObjectKind.BINDING}
    for each in {*situation.wanted[ObjectKind.BINDING], *situation.observed[ObjectKind.BINDING], *claimed}:
        if each.vhost == identity.vhost and each.name[1:3] == target:
            yield HeldObject(ObjectKind.BINDING, each, f"while the messages of {identity} are moved")


def _noted(notes: Mapping[str, Any]) -> dict[Key, Body]:
    return {Key(vhost, (name,)): body for vhost, name, body in notes.get(MIGRATION_NOTE, ())}
