"""Deletes the objects that an owner no longer declares, without losing a message.

Order: first users and permissions, so that no client uses the objects; then the bindings, so that no message is routed
to the queues; then the empty queues; then the rest. Counts of messages are used only some seconds after the
last binding is gone (see `backlog`). One gap remains: a message that is published directly to a quorum queue or stream
in the milliseconds between the last check and the deletion. The broker itself deletes classic queues only if they are
empty.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from broker_topology.broker.backlog import QUIET_SECONDS, backlogs, peek
from broker_topology.broker.execution import StepFailure, delete_object, run_concurrently
from broker_topology.broker.management_api import NOT_FOUND, ManagementApi, path
from broker_topology.broker.ownership import OwnerRecord
from broker_topology.errors import AccessDenied, RequestFailed
from broker_topology.planning.plan import Action, PlanStep
from broker_topology.planning.state import LEADERLESS, Body, BrokerState, Key, ObjectId, ObjectKind
from broker_topology.reconciliation.retention import dead_letter_exchanges, retained
from broker_topology.resource.model import LoadedTopology

BINDINGS, QUEUES, VHOSTS = (ObjectKind.BINDING,), (ObjectKind.QUEUE,), (ObjectKind.VHOST,)
STAGES: tuple[tuple[ObjectKind, ...], ...] = (
    (ObjectKind.USER, ObjectKind.PERMISSION),  # this also closes the user's connections
    (ObjectKind.TOPIC_PERMISSION,),  # after the permission: without it every routing key would be allowed
    BINDINGS,
    QUEUES,
    (ObjectKind.EXCHANGE,),
    (ObjectKind.POLICY, ObjectKind.OPERATOR_POLICY, ObjectKind.USER_LIMIT, ObjectKind.VHOST_LIMIT),
    VHOSTS,
)


class DeletionAllowance(msgspec.Struct, frozen=True):
    """Queues and virtual hosts that may be deleted although they hold messages."""

    queues: frozenset[Key] = frozenset()
    vhosts: frozenset[str] = frozenset()

    @classmethod
    def of(cls, topologies: Sequence[LoadedTopology]) -> "DeletionAllowance":
        specs = [item.spec for item in topologies]
        return cls(
            frozenset(Key.of(name, spec.vhost) for spec in specs for name in spec.delete_with_messages.queues),
            frozenset(spec.vhost for spec in specs if spec.delete_with_messages.vhost == spec.vhost),
        )


class DeletionPlan(msgspec.Struct, frozen=True):
    """The objects to delete, and those of them that are kept, each with the reason."""

    candidates: frozenset[ObjectId]
    kept: Mapping[ObjectId, str]

    def steps(self, observed: BrokerState) -> tuple[PlanStep, ...]:
        """Returns the deletions in the order of their execution."""
        going = self.candidates - self.kept.keys()
        return tuple(
            PlanStep(Action.DELETE, kind, key, observed[kind][key])
            for stage in STAGES
            for kind in stage
            for key in sorted(observed[kind])
            if (kind, key) in going
        )


class DeletionResult(msgspec.Struct, frozen=True):
    kept: Mapping[ObjectId, str]
    failures: tuple[StepFailure, ...] = ()


class Deletion:
    """Plans and executes deletions for one owner. Objects that were not deleted are still on its record."""

    def __init__(
        self,
        api: ManagementApi,
        observed: BrokerState,
        record: OwnerRecord,
        others: Iterable[OwnerRecord],
        allowance: DeletionAllowance,
        quiet_seconds: float = QUIET_SECONDS,
    ) -> None:
        self._api = api
        self._observed = observed
        self._record = record
        by_owner = sorted(others, key=lambda other: other.owner, reverse=True)
        self._shared = {each: other.owner for other in by_owner for each in other.claims}
        self._allowance = allowance
        self._quiet_seconds = quiet_seconds
        self._candidates: frozenset[ObjectId] = frozenset()
        self._kept: dict[ObjectId, str] = {}
        self._failures: list[StepFailure] = []

    async def plan(self, objects: Iterable[ObjectId], *, trust_counts: bool = True, wait: bool = False) -> DeletionPlan:
        """Plans the deletion without changing anything.

        The broker updates counts late. `trust_counts` keeps queues whose count is above 0: for callers that run again
        soon. With `wait`, a queue that the broker has not counted yet is kept.
        """
        observed = self._observed
        candidates = frozenset((kind, key) for kind, key in objects if key in observed[kind])
        kept: dict[ObjectId, str] = {}
        for each in candidates:
            kind, key = each
            if each in self._shared and kind is not ObjectKind.VHOST:
                kept[each] = f"{self._shared[each]} claims it as well"
            elif kind in {ObjectKind.USER, ObjectKind.PERMISSION} and key.name[0] == self._api.username:
                kept[each] = "this process connects as that user"
        inside = frozenset(each for each in candidates if each[0] is not ObjectKind.VHOST)
        queues = [
            key for kind, key in inside if kind is ObjectKind.QUEUE and not self._may_hold(key, observed[kind][key])
        ]
        if queues and trust_counts:
            kept |= await backlogs(self._api, queues, wait=wait)
        kept |= retained(inside, observed, kept)
        for kind, key in candidates - inside:
            if reason := self._vhost_reason(key, inside - kept.keys()):
                kept[kind, key] = reason
        return DeletionPlan(candidates, kept)

    def _vhost_reason(self, key: Key, deleted: frozenset[ObjectId]) -> str:
        """Returns why this virtual host must stay, or ""."""
        (vhost,) = key.name
        if user := self._shared.get((ObjectKind.VHOST, key)):
            return f"{user} uses it as well"
        if vhost not in self._record.created_vhosts:
            return "it existed before"
        if self._observed[ObjectKind.VHOST][key]["protected_from_deletion"]:
            return "it is protected from deletion"
        if vhost in self._allowance.vhosts:
            return ""
        for kind in (ObjectKind.QUEUE, ObjectKind.EXCHANGE, ObjectKind.POLICY, ObjectKind.OPERATOR_POLICY):
            for each in self._observed[kind]:
                own = kind is ObjectKind.EXCHANGE and (not each.name[0] or each.name[0].startswith("amq."))
                if each.vhost == vhost and not own and (kind, each) not in deleted:
                    return f"it holds {kind.value} {each}"
        return ""

    async def execute(self, planned: DeletionPlan) -> DeletionResult:
        """Executes the plan. A queue that turns out to hold a message is kept, with what it needs.

        Raises `BrokerError` when the broker does not answer; what it refuses is among the failures.
        """
        self._candidates, self._kept, self._failures = planned.candidates, dict(planned.kept), []
        for stage in STAGES:
            if stage == QUEUES:
                await self._delete_queues()
            elif stage == BINDINGS:
                late = dead_letter_exchanges(self._observed[ObjectKind.QUEUE], self._candidates)
                early = [
                    step
                    for step in self._steps(stage)
                    if (ObjectKind.EXCHANGE, Key.of(step.key.name[0], step.key.vhost)) not in late
                ]
                await self._delete(early)
            elif stage == VHOSTS:
                await self._delete_vhosts()
            else:
                await self._delete(self._steps(stage))
        return DeletionResult(self._kept, tuple(self._failures))

    def _steps(self, stage: tuple[ObjectKind, ...]) -> list[PlanStep]:
        remaining = DeletionPlan(self._candidates, self._kept).steps(self._observed)
        return [step for step in remaining if step.kind in stage]

    async def _delete_vhosts(self) -> None:
        """Deletes virtual hosts that are still empty: another client may have declared a queue meanwhile."""
        for step in self._steps(VHOSTS):
            (vhost,) = step.key.name
            queues = await self._api.get(path("queues", vhost) + "?disable_stats=true&columns=name")
            if vhost in self._allowance.vhosts or not (queues or self._failures):
                await self._delete([step])
            else:
                reason = f"it holds queue {queues[0]['name']}" if queues else "not all of its objects were deleted"
                self._kept[step.object] = reason

    async def _delete_queues(self) -> None:
        """Deletes queues. The bindings between dead-lettering queues go only when the queues are known to be empty."""
        for _ in range(2):
            queues = self._steps(QUEUES)
            if any(not self._may_hold(step.key, step.body) and _type(step) != "classic" for step in queues):
                await asyncio.sleep(self._quiet_seconds)
                await self._check(queues)
            late = self._steps(BINDINGS)
            if not late:
                break
            await self._delete(late)
        await self._delete(self._steps(QUEUES))

    def _may_hold(self, queue: Key, body: Body) -> bool:
        """Returns whether a queue need not be empty, or cannot be anything else."""
        return queue in self._allowance.queues or queue.vhost in self._allowance.vhosts or LEADERLESS in body

    async def _check(self, queues: Iterable[PlanStep]) -> None:
        steps = [step for step in queues if not self._may_hold(step.key, step.body)]
        self._keep(await backlogs(self._api, [step.key for step in steps], wait=True))

        async def check(step: PlanStep) -> None:
            if step.object not in self._kept:
                await self._is_empty(step)

        await run_concurrently(steps, check, self._api.concurrency)

    async def _is_empty(self, step: PlanStep) -> bool:
        """Peeks into the queue, and keeps it if it holds a message. The broker itself checks a classic queue."""
        kind = _type(step)
        reason = "" if kind == "classic" else await peek(self._api, step.key, kind)
        if reason:
            self._keep({step.object: reason})
        return not reason

    def _keep(self, reasons: Mapping[ObjectId, str]) -> None:
        inside = frozenset(each for each in self._candidates if each[0] is not ObjectKind.VHOST)
        self._kept |= retained(inside, self._observed, {**self._kept, **reasons})
        for vhost in self._candidates - inside:
            for _, queue in sorted(reasons, key=lambda each: each[1]):
                if queue.vhost == vhost[1].name[0]:
                    self._kept.setdefault(vhost, f"it holds queue {queue}")

    async def _delete(self, steps: Iterable[PlanStep]) -> None:
        async def delete_one(step: PlanStep) -> None:
            try:
                if step.kind is ObjectKind.QUEUE and not self._may_hold(step.key, step.body):
                    await self._delete_queue(step)
                else:
                    await delete_object(self._api, step)
            except (RequestFailed, AccessDenied) as exc:
                self._failures.append(StepFailure(step, str(exc)))

        await run_concurrently(list(steps), delete_one, self._api.concurrency)

    async def _delete_queue(self, step: PlanStep) -> None:
        if _type(step) != "classic":
            if await self._is_empty(step):
                await delete_object(self._api, step)
            return
        try:
            await delete_object(self._api, step, "?if-empty=true&if-unused=true")
        except RequestFailed as exc:
            if exc.status != NOT_FOUND:
                self._keep({step.object: str(exc)})


def _type(queue: PlanStep) -> str:
    return str(queue.body["arguments"].get("x-queue-type"))
