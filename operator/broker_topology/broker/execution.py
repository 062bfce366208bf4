"""Executes the steps of a plan. Every write is idempotent: after an interruption, the next run continues."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from broker_topology.broker.leaderless import members, never_had_leader
from broker_topology.broker.management_api import ManagementApi, path
from broker_topology.credentials.passwords import WRITTEN_ALGORITHM
from broker_topology.credentials.secrets import Credentials
from broker_topology.errors import AccessDenied, RequestFailed
from broker_topology.planning.dependencies import first_missing, lossy_queues
from broker_topology.planning.plan import STAGES, Action, Plan, PlanStep
from broker_topology.planning.rendering import title
from broker_topology.planning.state import Body, BrokerState, Key, ObjectId, ObjectKind, empty_state

NEEDS_PERMISSION = frozenset({ObjectKind.EXCHANGE, ObjectKind.QUEUE, ObjectKind.BINDING})
"""Only users with permissions in the virtual host may declare these, even if they are administrators."""

Progress = Callable[[PlanStep, int, int], None]
"""Called after each write with the step, the number of finished steps, and the number of all steps."""


class StepFailure(msgspec.Struct, frozen=True):
    """A step that the broker refused, and its reason."""

    step: PlanStep
    reason: str


class SkippedStep(msgspec.Struct, frozen=True):
    """A step that was not tried, and the missing object that it depends on."""

    step: PlanStep
    waits_for: ObjectId


class ExecutionResult(msgspec.Struct, frozen=True):
    failures: tuple[StepFailure, ...] = ()
    skipped: tuple[SkippedStep, ...] = ()

    @property
    def failed_steps(self) -> tuple[tuple[str, str], ...]:
        """Each failed step with its reason, as text."""
        return tuple((title(each.step), each.reason) for each in self.failures)

    @property
    def skipped_steps(self) -> tuple[tuple[str, str], ...]:
        """Each skipped step with the object that it depends on, as text."""
        return tuple((title(each.step), f"{each.waits_for[0].value} {each.waits_for[1]}") for each in self.skipped)


async def execute_plan(
    plan: Plan,
    api: ManagementApi,
    credentials: Mapping[str, Credentials | None],
    queues: Mapping[Key, Body],
    progress: Progress | None = None,
) -> ExecutionResult:
    """Executes one stage after the other, the steps of a stage concurrently. `queues` are all desired queues.

    A refused step skips its dependent steps and no others. Raises `BrokerError` when the broker does not answer.
    """
    writes = plan.writes
    done = 0
    failures: list[StepFailure] = []
    skipped: list[SkippedStep] = []
    missing = empty_state()

    async def execute(step: PlanStep) -> None:
        nonlocal done
        try:
            await _write(step, api, credentials)
        except (RequestFailed, AccessDenied) as exc:
            failures.append(StepFailure(step, str(exc)))
        else:
            done += 1
            if progress is not None:
                progress(step, done, len(writes))

    for stage in STAGES:
        ready: list[PlanStep] = []
        lossy = lossy_queues(queues, writes, missing) if failures and ObjectKind.BINDING in stage else {}
        for step in (each for each in writes if each.kind in stage):
            if failures and (needed := first_missing(step, missing, lossy)) is not None:
                skipped.append(SkippedStep(step, needed))
            else:
                ready.append(step)
        await run_concurrently(ready, execute, api.concurrency)
        for undone in [each.step for each in failures] + [each.step for each in skipped]:
            missing[undone.kind][undone.key] = undone.body
    return ExecutionResult(tuple(failures), tuple(skipped))


def check_permissions(username: str, plan: Plan, observed: BrokerState) -> None:
    """Raises one `AccessDenied` instead of a failure for each object.

    The user that makes a virtual host gets permissions in it; in an existing one it needs a grant.
    """
    for vhost in sorted({step.key.vhost for step in plan.writes if step.kind in NEEDS_PERMISSION}):
        if (
            Key.of(vhost) in observed[ObjectKind.VHOST]
            and Key.of(username, vhost) not in observed[ObjectKind.PERMISSION]
        ):
            raise AccessDenied(
                f"user {username} has no permissions in virtual host {vhost}, which exists already; grant them first: "
                f"rabbitmqctl set_permissions -p {vhost} {username} '.*' '.*' '.*'"
            )


async def run_concurrently(
    steps: Sequence[PlanStep], execute: Callable[[PlanStep], Awaitable[None]], workers: int
) -> None:
    """Executes the steps with a few workers. The first exception stops all of them and is raised.

    No request is cancelled: an interrupted declaration may leave a queue without a leader (see `leaderless`).
    """
    queue = iter(_lanes(steps))
    stopping = False

    async def work() -> None:
        for lane in queue:
            for step in lane:
                if stopping:
                    return
                await execute(step)

    tasks = [asyncio.create_task(work()) for _ in range(min(workers, len(steps)))]
    if not tasks:
        return
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        stopping = True
        await asyncio.wait(tasks)
        errors = [error for task in tasks if (error := task.exception()) is not None]
    if errors:
        raise errors[0]  # all were retrieved, or asyncio would log them


def _lanes(steps: Sequence[PlanStep]) -> list[list[PlanStep]]:
    """Returns lanes of steps: those of one lane must run one after the other, the lanes can run concurrently.

    The limits of one owner are one record at the broker, which each request reads, changes and writes back: measured on
    4.3.6, one of two concurrent changes is lost.
    """
    lanes: dict[object, list[PlanStep]] = {}
    for step in steps:
        one_record = step.kind in {ObjectKind.VHOST_LIMIT, ObjectKind.USER_LIMIT}
        lanes.setdefault((step.kind, step.key.name[0] if one_record else step.key), []).append(step)
    return list(lanes.values())


def address(kind: ObjectKind, key: Key) -> str:
    """Returns the path of an object; of a binding, the path of its source and target."""
    vhost = (key.vhost,) if key.vhost else ()
    if kind is ObjectKind.BINDING:
        source, target_kind, target, *_ = key.name
        return path(kind.collection, *vhost, "e", source, target_kind[0], target)
    return path(kind.collection, *vhost, *key.name)


async def delete_object(api: ManagementApi, step: PlanStep, query: str = "") -> None:
    suffix = path(step.body["properties_key"]).removeprefix("/api") if step.kind is ObjectKind.BINDING else ""
    await api.delete(address(step.kind, step.key) + suffix + query)


async def _write(step: PlanStep, api: ManagementApi, credentials: Mapping[str, Credentials | None]) -> None:
    target, body = address(step.kind, step.key), step.body
    match step.kind:
        case ObjectKind.BINDING:
            *_, routing_key, arguments = step.key.name
            await api.post(target, {"routing_key": routing_key, "arguments": msgspec.json.decode(arguments or "{}")})
            return
        case ObjectKind.USER:
            body = _user_body(step, credentials)
        case ObjectKind.TOPIC_PERMISSION:
            user, exchange = step.key.name
            target, body = path(step.kind.collection, step.key.vhost, user), {"exchange": exchange, **body}
        case ObjectKind.QUEUE:
            if step.action is Action.UPDATE and never_had_leader(await members(api, step.key)):
                await api.delete(target)
    await api.put(target, body)


def _user_body(step: PlanStep, credentials: Mapping[str, Credentials | None]) -> dict[str, Any]:
    body = {
        "tags": ",".join(step.body["tags"]),
        "password_hash": step.body.get("password_hash"),
        "hashing_algorithm": step.body.get("hashing_algorithm", WRITTEN_ALGORITHM),
    }
    known = credentials.get(step.key.name[0])
    if body["password_hash"] is None and known is not None:
        body |= {"password_hash": known.hashed(), "hashing_algorithm": known.written_algorithm}
    return body
