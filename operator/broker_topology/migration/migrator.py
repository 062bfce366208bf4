"""Gives a queue another type or other arguments, which no broker can change in place, and keeps every message.

`steps` decides each step from the state of the broker; the migrator executes it. The next run, in this process or
another, continues a migration that was interrupted.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from broker_topology.broker import ownership
from broker_topology.broker.management_api import ManagementApi
from broker_topology.errors import MigrationBusy, RequestFailed
from broker_topology.migration import shovel
from broker_topology.migration.context import MIGRATION_NOTE, HeldObject, MigrationContext
from broker_topology.migration.lease import MAX_NUMBER, MigrationLease
from broker_topology.migration.state import MigrationNames, UnchangedSeconds, read_state, under_way
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
"""Longer than two ticks of a quorum queue (5 s), after each of which the broker's counts are correct."""
POLL_SECONDS = 1.0
CANNOT_MIGRATE = "cannot be migrated"
"""Begins the message of a queue whose migration waits for a user."""


class Migrator:
    """Executes the migrations of one process; a `Migrate` for `reconcile`.

    Each call does what is possible now and waits at most `patience_seconds` for the rest; call again after POLL_SECONDS
    while it returns any object. It remembers only since when a queue is unchanged; a restart begins that observation
    again. `on_request` is called after each write with the request, `notify` with a text for users.
    """

    def __init__(
        self,
        *,
        settle_seconds: float = SETTLE_SECONDS,
        patience_seconds: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        number: int | None = None,
        on_request: Callable[[ApiRequest], None] = lambda _: None,
        notify: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._settle_seconds = settle_seconds
        self._patience_seconds = patience_seconds
        self._clock = clock
        self._number = secrets.randbelow(MAX_NUMBER) if number is None else number
        self._on_request = on_request
        self._notify = notify
        self._fingerprints: dict[tuple[str, str, str], tuple[object, float]] = {}
        self._record_lock = asyncio.Lock()
        self._max_aside: dict[Key, int] = {}

    async def __call__(self, context: MigrationContext) -> Sequence[HeldObject]:
        """Advances all migrations of one owner. After a `BrokerError` the next call continues."""
        desired = dict(_desired(context))
        if not desired:
            return ()
        steps = await asyncio.gather(
            *(self._migrate(context, each, body) for each, body in desired.items()), return_exceptions=True
        )
        open_steps: dict[Key, Wait | MigrationBlocked] = {}
        for each, step in zip(desired, steps, strict=True):
            if isinstance(step, BaseException):
                raise step  # all other migrations have advanced as far as possible
            if not isinstance(step, MigrationDone):
                open_steps[each] = step
        waiting = {each: desired[each] for each, step in open_steps.items() if isinstance(step, Wait)}
        await self._note(context, waiting)
        return [held for each, step in open_steps.items() for held in _held(context, each, step)]

    async def _migrate(
        self, context: MigrationContext, key: Key, desired: Body
    ) -> Wait | MigrationBlocked | MigrationDone:
        begun = self._clock()
        notified = ""
        while True:
            step = await self._advance(context, key, desired)
            if isinstance(step, MigrationDone):
                seconds, most = self._clock() - begun, self._max_aside.pop(key, 0)
                self._notify(f"queue {key}: migrated in {seconds:.0f} s; up to {most:,} messages were held aside")
            if not isinstance(step, Wait) or self._clock() >= begun + self._patience_seconds:
                return step
            if step.reason != notified:
                notified = step.reason
                self._notify(f"queue {key}: {notified}")
            await asyncio.sleep(POLL_SECONDS)

    async def _advance(
        self, context: MigrationContext, key: Key, desired: Body
    ) -> Wait | MigrationBlocked | MigrationDone:
        """Takes every step that is possible now, and returns the reason why the next one is not."""
        api, vhost, names = context.api, key.vhost, MigrationNames(key.name[0])
        while True:
            try:
                async with MigrationLease(api, vhost, names.lease, self._number) as lease:
                    state = await read_state(api, vhost, names, self._unchanged_seconds(api, vhost))
                    self._max_aside[key] = max(self._max_aside.get(key, 0), state.messages_aside)
                    step = decide(state, desired, self._settle_seconds)
                    if not isinstance(step, SendRequests):
                        return step
                    if state.untouched:
                        if (missing := await shovel.missing_plugin(api)) is not None:
                            return MigrationBlocked(missing)
                        await self._note(context, {key: desired}, add=True)
                    await lease.renew()
                    for request in step.requests:
                        await self._send(api, request)
            except MigrationBusy as exc:
                return Wait(str(exc))
            except RequestFailed as exc:
                if shovel.UNKNOWN_COMPONENT not in str(exc):
                    raise
                return MigrationBlocked(f"plugin {shovel.PLUGIN} is not enabled on a node; {shovel.HOW_TO_ENABLE}")

    async def _note(self, context: MigrationContext, migrations: Mapping[Key, Body], *, add: bool = False) -> None:
        """Records the running migrations, so that a later run completes them even if the resource has changed."""
        async with self._record_lock:
            known = await ownership.records(context.api)
            record = known.get(context.owner) or ownership.OwnerRecord(context.owner)
            noted = _noted(record.notes)
            new = {**noted, **migrations} if add else dict(migrations)
            if new == noted:
                return
            notes = {topic: note for topic, note in record.notes.items() if topic != MIGRATION_NOTE}
            if new:
                notes[MIGRATION_NOTE] = [[each.vhost, each.name[0], dict(body)] for each, body in new.items()]
            await ownership.write(context.api, replace(record, notes=notes))

    async def _send(self, api: ManagementApi, request: ApiRequest) -> None:
        match request.method:
            case "PUT":
                await api.put(request.target, request.body)
            case "POST":
                await api.post(request.target, request.body)
            case _:
                await api.delete(request.target)
        self._on_request(request)

    def _unchanged_seconds(self, api: ManagementApi, vhost: str) -> UnchangedSeconds:
        def unchanged(name: str, fingerprint: object) -> float:
            now = self._clock()
            known, since = self._fingerprints.get((api.url, vhost, name), (None, now))
            if known != fingerprint:
                since = now
                self._fingerprints[api.url, vhost, name] = fingerprint, now
            return now - since

        return unchanged


async def foreseen_refusal(api: ManagementApi, queue: Key, desired: Body) -> str | None:
    """Returns why this queue could not be migrated at the moment, or None. Writes nothing."""
    names = MigrationNames(queue.name[0])
    state = await read_state(api, queue.vhost, names, lambda _name, _fingerprint: 0.0)
    if state.queue is None or not state.untouched:
        return None
    return refusal(state, state.queue, desired) or await shovel.missing_plugin(api)


def _desired(context: MigrationContext) -> Iterator[tuple[Key, Body]]:
    """Yields the queues to be migrated now, each with its desired body."""
    blocked = {step.key for step in context.plan.blocked if step.kind is ObjectKind.QUEUE}
    noted = _noted(context.record.notes)
    desired, observed = context.desired[ObjectKind.QUEUE], context.observed[ObjectKind.QUEUE]
    for key, body in desired.items():
        requested = key in blocked and key in context.requested
        if requested or key in noted or under_way(context.observed, key.vhost, key.name[0]):
            yield key, body
    for key, body in noted.items():
        if key not in desired:  # no longer in the resource: no new arguments, but every message returns
            yield key, observed.get(key, body)


def _held(context: MigrationContext, key: Key, step: Wait | MigrationBlocked) -> Iterator[HeldObject]:
    """Yields the queue, and while its messages are moved, its bindings."""
    if isinstance(step, MigrationBlocked):
        steps = [each for each in context.plan.blocked if each.object == (ObjectKind.QUEUE, key)]
        differences = "; ".join(str(change) for each in steps for change in each.changes)
        message = f"{CANNOT_MIGRATE}: {step.reason} ({differences})"
        yield HeldObject(ObjectKind.QUEUE, key, message, blocked=True)
        return
    yield HeldObject(ObjectKind.QUEUE, key, step.reason)
    target = ("queue", key.name[0])
    claimed = {key for kind, key in context.record.claims if kind is ObjectKind.BINDING}
    for each in {*context.desired[ObjectKind.BINDING], *context.observed[ObjectKind.BINDING], *claimed}:
        if each.vhost == key.vhost and each.name[1:3] == target:
            yield HeldObject(ObjectKind.BINDING, each, f"while the messages of {key} are moved")


def _noted(notes: Mapping[str, Any]) -> dict[Key, Body]:
    return {Key(vhost, (name,)): body for vhost, name, body in notes.get(MIGRATION_NOTE, ())}
