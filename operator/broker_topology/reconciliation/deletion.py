"""Takes away what an owner has and no longer wants, and never a message with it.

Order: first whoever may use it (users, permissions), then the ways into the queues (bindings), then the queues that
hold nothing, then the rest. A queue's count is believed after a quiet time only (see `backlog`). What remains possible:
a message published straight to a quorum queue or stream, by its name, in the milliseconds between the last look and its
deletion. Classic queues are deleted by the broker itself only if empty.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

import msgspec

from broker_topology.broker.backlog import QUIET_SECONDS, backlogs, peeked
from broker_topology.broker.execution import StepFailure, lanes, side_by_side
from broker_topology.broker.management_api import NOT_FOUND, ManagementApi, path
from broker_topology.broker.ownership import OwnerRecord
from broker_topology.errors import AccessDenied, RequestFailed
from broker_topology.planning.plan import Action, PlanStep
from broker_topology.planning.state import LEADERLESS, BrokerState, Key, ObjectId, ObjectKind, key
from broker_topology.reconciliation.retention import dead_letter_exchanges, retained

STAGES: tuple[tuple[ObjectKind, ...], ...] = (
    (ObjectKind.USER, ObjectKind.PERMISSION),  # a user's connections are closed with it
    (ObjectKind.TOPIC_PERMISSION,),  # after the permission: without it every routing key would be allowed
    (ObjectKind.BINDING,),
    (ObjectKind.QUEUE,),
    (ObjectKind.EXCHANGE,),
    (ObjectKind.POLICY, ObjectKind.OPERATOR_POLICY, ObjectKind.USER_LIMIT, ObjectKind.VHOST_LIMIT),
    (ObjectKind.VHOST,),
)


class DeletionPlan(msgspec.Struct, frozen=True):
    """What is to go, and what stays although it should."""

    doomed: frozenset[ObjectId]
    kept: Mapping[ObjectId, str]
    """With the reason."""

    def steps(self, observed: BrokerState) -> tuple[PlanStep, ...]:
        """What goes, in the order in which it goes."""
        going = self.doomed - self.kept.keys()
        return tuple(
            PlanStep(Action.DELETE, kind, identity, observed[kind][identity])
            for stage in STAGES
            for kind in stage
            for identity in sorted(observed[kind])
            if (kind, identity) in going
        )


class DeletionResult(msgspec.Struct, frozen=True):
    kept: Mapping[ObjectId, str]
    failures: tuple[StepFailure, ...]


class DeletionAllowance(msgspec.Struct, frozen=True):
    """What may go although it holds messages."""

    queues: frozenset[Key] = frozenset()
    vhosts: frozenset[str] = frozenset()


async def planned(
    unwanted: Iterable[ObjectId],
    observed: BrokerState,
    api: ManagementApi,
    record: OwnerRecord,
    others: Iterable[OwnerRecord],
    allowed: DeletionAllowance,
    *,
    believe_counts: bool = True,
    wait: bool = False,
) -> DeletionPlan:
    """What of the unwanted objects is there and can go, as far as can be told without touching anything.

    Counts are late. Who looks again soon may believe one that says a queue holds something; who looks once may not.
    With `wait`, a queue that the broker has not counted yet stays.
    """
    there = frozenset((kind, identity) for kind, identity in unwanted if identity in observed[kind])
    shared = {each: record.owner for record in others for each in record.claims}
    kept: dict[ObjectId, str] = {}
    for kind, identity in there:
        if (kind, identity) in shared and kind is not ObjectKind.VHOST:
            kept[kind, identity] = f"{shared[kind, identity]} has it as well"
        elif kind in {ObjectKind.USER, ObjectKind.PERMISSION} and identity.name[0] == api.username:
            kept[kind, identity] = "it is the user by which the broker is reached"
    doomed = there - {each for each in there if each[0] is ObjectKind.VHOST}
    queues = [identity for kind, identity in doomed if kind is ObjectKind.QUEUE and identity not in allowed.queues]
    queues = [identity for identity in queues if identity.vhost not in allowed.vhosts]
    queues = [identity for identity in queues if not observed[ObjectKind.QUEUE][identity].get(LEADERLESS)]
    if queues and believe_counts:
        kept |= await backlogs(api, queues, wait=wait)
    kept |= retained(doomed, observed, kept)
    for kind, identity in there - doomed:
        if reason := _vhost_stays(identity.name[0], observed, doomed - kept.keys(), record, others, allowed):
            kept[kind, identity] = reason
    return DeletionPlan(there, kept)


class Deleter:
    """Carries out one removal. Every request may be the last: the owner's record still has what was not reached."""

    def __init__(
        self,
        deletion: DeletionPlan,
        observed: BrokerState,
        api: ManagementApi,
        allowed: DeletionAllowance,
        quiet_seconds: float,
    ) -> None:
        self._observed = observed
        self._api = api
        self._allowed = allowed
        self._quiet = quiet_seconds
        self._doomed = deletion.doomed
        self._kept = dict(deletion.kept)
        self._failures: list[StepFailure] = []

    async def run(self) -> DeletionResult:
        """Raises `BrokerError` when the broker is gone; what it refuses is among the failures."""
        for stage in STAGES:
            if stage == (ObjectKind.QUEUE,):
                await self._queues()
            elif stage == (ObjectKind.BINDING,):
                late = dead_letter_exchanges(self._observed[ObjectKind.QUEUE], self._doomed)
                await self._delete(step for step in self._steps(stage) if _source(step) not in late)
            elif stage == (ObjectKind.VHOST,):
                await self._vhosts()
            else:
                await self._delete(self._steps(stage))
        return DeletionResult(self._kept, tuple(self._failures))

    async def _vhosts(self) -> None:
        """Somebody may have declared a queue in the meantime, and all of a virtual host goes with it."""
        for step in self._steps((ObjectKind.VHOST,)):
            (vhost,) = step.key.name
            queues = await self._api.get(path("queues", vhost) + "?disable_stats=true&columns=name")
            if vhost in self._allowed.vhosts or not (queues or self._failures):
                await self._delete([step])
            else:
                holds = f"it holds queue {queues[0]['name']}" if queues else "not everything in it could be removed"
                self._kept[step.kind, step.key] = holds

    def _steps(self, stage: tuple[ObjectKind, ...]) -> list[PlanStep]:
        going = DeletionPlan(self._doomed, self._kept).steps(self._observed)
        return [step for step in going if step.kind in stage]

    async def _queues(self) -> None:
        """The ways between dead-lettering queues go only once the queues are known to be empty."""
        for _ in range(2):
            queues = self._steps((ObjectKind.QUEUE,))
            if any(not self._at_once(step) for step in queues):
                await asyncio.sleep(self._quiet)
                await self._look(queues)
            late = self._steps((ObjectKind.BINDING,))
            if not late:
                break
            await self._delete(late)
        await self._delete(self._steps((ObjectKind.QUEUE,)))

    def _at_once(self, step: PlanStep) -> bool:
        """Whether no count is needed: somebody allowed it, or the broker itself looks."""
        return self._may_hold(step) or step.body["arguments"].get("x-queue-type") == "classic"

    def _may_hold(self, queue: PlanStep) -> bool:
        """Whether it need not be empty, or can be nothing else."""
        allowed = queue.key in self._allowed.queues or queue.key.vhost in self._allowed.vhosts
        return allowed or queue.body.get(LEADERLESS) is True

    async def _look(self, queues: Iterable[PlanStep]) -> None:
        looked = [step for step in queues if not self._may_hold(step)]
        self._keep(await backlogs(self._api, [step.key for step in looked], wait=True))

        async def one(step: PlanStep) -> None:
            if (step.kind, step.key) not in self._kept:
                await self._peek(step)

        await side_by_side(lanes(looked), one, self._api.concurrency)

    async def _peek(self, step: PlanStep) -> bool:
        """Whether it is empty. Classic queues are looked into by the broker, when it deletes them."""
        kind = str(step.body["arguments"].get("x-queue-type"))
        reason = "" if kind == "classic" else await peeked(self._api, step.key, kind)
        if reason:
            self._keep({(step.kind, step.key): reason})
        return not reason

    def _keep(self, reasons: Mapping[ObjectId, str]) -> None:
        doomed = self._doomed - {each for each in self._doomed if each[0] is ObjectKind.VHOST}
        self._kept |= retained(doomed, self._observed, {**self._kept, **reasons})
        for vhost in self._doomed - doomed:
            for _, queue in sorted(reasons, key=lambda each: each[1]):
                if queue.vhost == vhost[1].name[0]:
                    self._kept.setdefault(vhost, f"it holds queue {queue}")

    async def _delete(self, steps: Iterable[PlanStep]) -> None:
        async def one(step: PlanStep) -> None:
            try:
                if step.kind is ObjectKind.QUEUE:
                    await self._delete_queue(step)
                else:
                    await self._api.delete(_target(step))
            except (RequestFailed, AccessDenied) as exc:
                self._failures.append(StepFailure(step, str(exc)))

        await side_by_side(lanes(list(steps)), one, self._api.concurrency)

    async def _delete_queue(self, step: PlanStep) -> None:
        kind = step.body["arguments"].get("x-queue-type")
        if self._may_hold(step):
            await self._api.delete(_target(step))
        elif kind == "classic":
            try:
                await self._api.delete(_target(step) + "?if-empty=true&if-unused=true")
            except RequestFailed as exc:
                if exc.status == NOT_FOUND:
                    return
                self._keep({(step.kind, step.key): str(exc)})
        elif await self._peek(step):
            await self._api.delete(_target(step))


async def remove(
    deletion: DeletionPlan,
    observed: BrokerState,
    api: ManagementApi,
    allowed: DeletionAllowance,
    quiet_seconds: float = QUIET_SECONDS,
) -> DeletionResult:
    """Carries it out. What turns out to hold something is kept, with what it needs."""
    return await Deleter(deletion, observed, api, allowed, quiet_seconds).run()


def _vhost_stays(
    vhost: str,
    observed: BrokerState,
    going: frozenset[ObjectId],
    record: OwnerRecord,
    others: Iterable[OwnerRecord],
    allowed: DeletionAllowance,
) -> str:
    """Why this virtual host must stay, or nothing."""
    users = sorted(each.owner for each in others if (ObjectKind.VHOST, key(vhost)) in each.claims)
    if users:
        return f"{users[0]} uses it as well"
    if vhost not in record.made:
        return "it was there before"
    if observed[ObjectKind.VHOST][key(vhost)]["protected_from_deletion"]:
        return "it is protected from deletion"
    if vhost in allowed.vhosts:
        return ""
    for kind in (ObjectKind.QUEUE, ObjectKind.EXCHANGE, ObjectKind.POLICY, ObjectKind.OPERATOR_POLICY):
        for identity in observed[kind]:
            own = kind is ObjectKind.EXCHANGE and (not identity.name[0] or identity.name[0].startswith("amq."))
            if identity.vhost == vhost and not own and (kind, identity) not in going:
                return f"it holds {kind.value} {identity}"
    return ""


def _source(step: PlanStep) -> ObjectId:
    return ObjectKind.EXCHANGE, key(step.key.name[0], step.key.vhost)


def _target(step: PlanStep) -> str:
    vhost, name = step.key.vhost, step.key.name
    match step.kind:
        case ObjectKind.VHOST | ObjectKind.USER:
            return path(f"{step.kind.value}s", *name)
        case ObjectKind.VHOST_LIMIT | ObjectKind.USER_LIMIT:
            return path(step.kind.value.replace(" ", "-") + "s", *name)
        case ObjectKind.POLICY:
            return path("policies", vhost, *name)
        case ObjectKind.OPERATOR_POLICY:
            return path("operator-policies", vhost, *name)
        case ObjectKind.BINDING:
            source, target_kind, target, *_ = name
            return path("bindings", vhost, "e", source, target_kind[0], target, step.body["properties_key"])
        case _:
            return path(step.kind.value.replace(" ", "-") + "s", vhost, *name)
