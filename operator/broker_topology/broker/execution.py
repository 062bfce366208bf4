"""Carries out the writing part of a plan. Every write is idempotent: after an interruption, running again continues."""

from __future__ import annotations

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
from broker_topology.planning.state import Body, BrokerState, Key, ObjectId, ObjectKind, empty, key

DECLARED = frozenset({ObjectKind.EXCHANGE, ObjectKind.QUEUE, ObjectKind.BINDING})
"""What the broker lets only those declare who have permissions in the virtual host, administrators included."""

Progress = Callable[[PlanStep, int, int], None]
"""Called after each write with the step, how many are done, and how many there are."""


class StepFailure(msgspec.Struct, frozen=True):
    """A step that the broker refused, and its reason."""

    step: PlanStep
    reason: str


class SkippedStep(msgspec.Struct, frozen=True):
    """A step that was not tried, and what it builds on."""

    step: PlanStep
    waits_for: ObjectId


class ExecutionResult(msgspec.Struct, frozen=True):
    failures: tuple[StepFailure, ...] = ()
    skipped: tuple[SkippedStep, ...] = ()


async def carry_out(
    plan: Plan,
    api: ManagementApi,
    credentials: Mapping[str, Credentials | None],
    queues: Mapping[Key, Body],
    progress: Progress | None = None,
) -> ExecutionResult:
    """Stage after stage, the steps of a stage at the same time. `queues` are all that are wanted.

    A refused step stops those that build on it and no others. Raises `BrokerError` when the broker is gone.
    """
    writes = plan.writes
    done = 0
    failures: list[StepFailure] = []
    skipped: list[SkippedStep] = []
    missing = empty()

    async def one(step: PlanStep) -> None:
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
        todo: list[PlanStep] = []
        lossy = lossy_queues(queues, writes, missing) if failures and ObjectKind.BINDING in stage else {}
        for step in (each for each in writes if each.kind in stage):
            if failures and (needed := first_missing(step, missing, lossy)) is not None:
                skipped.append(SkippedStep(step, needed))
            else:
                todo.append(step)
        await side_by_side(lanes(todo), one, api.concurrency)
        for undone in [*(each.step for each in failures), *(each.step for each in skipped)]:
            missing[undone.kind][undone.key] = undone.body
    return ExecutionResult(tuple(failures), tuple(skipped))


def check_rights(username: str, plan: Plan, observed: BrokerState) -> None:
    """One message instead of one for each object. Who makes a virtual host gets rights in it; others need a grant."""
    for vhost in sorted({step.key.vhost for step in plan.writes if step.kind in DECLARED}):
        if key(vhost) in observed[ObjectKind.VHOST] and key(username, vhost) not in observed[ObjectKind.PERMISSION]:
            raise AccessDenied(
                f"user {username} has no permissions in virtual host {vhost}, which exists already; grant them first: "
                f"rabbitmqctl set_permissions -p {vhost} {username} '.*' '.*' '.*'"
            )


def lanes(steps: Sequence[PlanStep]) -> list[list[PlanStep]]:
    """What may run side by side; within a lane, one after the other.

    All limits of one owner are one record at the broker, read, changed and written back by each request: measured on
    4.3.6, one of two at the same time is lost.
    """
    found: dict[object, list[PlanStep]] = {}
    for step in steps:
        one_record = step.kind in {ObjectKind.VHOST_LIMIT, ObjectKind.USER_LIMIT}
        found.setdefault((step.kind, step.key.name[0] if one_record else step.key), []).append(step)
    return list(found.values())


async def side_by_side(
    several: Sequence[Sequence[PlanStep]], one: Callable[[PlanStep], Awaitable[None]], workers: int
) -> None:
    """A few workers over one list: thousands of steps make no thousands of tasks. The first fatal error ends all.

    Nobody is cancelled in the middle of a request, not even when all is to end at once: a declaration that is cut off
    may leave a queue that never lives (see `leaderless`).
    """
    queue = iter(several)
    ending = False

    async def work() -> None:
        for lane in queue:
            for step in lane:
                if ending:
                    return
                await one(step)

    tasks = [asyncio.create_task(work()) for _ in range(min(workers, len(several)))]
    if not tasks:
        return
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        ending = True
        await asyncio.wait(tasks)
        errors = [error for task in tasks if (error := task.exception()) is not None]
    if errors:
        raise errors[0]  # all are asked for: one that nobody saw would be a stack trace in the log


async def _write(step: PlanStep, api: ManagementApi, credentials: Mapping[str, Credentials | None]) -> None:
    vhost, name = step.key.vhost, step.key.name
    match step.kind:
        case ObjectKind.VHOST:
            await api.put(path("vhosts", *name), step.body)
        case ObjectKind.USER:
            await api.put(path("users", *name), _user_body(step, credentials))
        case ObjectKind.VHOST_LIMIT:
            await api.put(path("vhost-limits", *name), step.body)
        case ObjectKind.USER_LIMIT:
            await api.put(path("user-limits", *name), step.body)
        case ObjectKind.EXCHANGE:
            await api.put(path("exchanges", vhost, *name), step.body)
        case ObjectKind.QUEUE:
            if step.action is Action.UPDATE and never_had_leader(await members(api, step.key)):
                await api.delete(path("queues", vhost, *name))
            await api.put(path("queues", vhost, *name), step.body)
        case ObjectKind.POLICY:
            await api.put(path("policies", vhost, *name), step.body)
        case ObjectKind.OPERATOR_POLICY:
            await api.put(path("operator-policies", vhost, *name), step.body)
        case ObjectKind.PERMISSION:
            await api.put(path("permissions", vhost, *name), step.body)
        case ObjectKind.TOPIC_PERMISSION:
            user, exchange = name
            await api.put(path("topic-permissions", vhost, user), {"exchange": exchange, **step.body})
        case ObjectKind.BINDING:
            source, target_kind, target, routing_key, arguments = name
            await api.post(
                path("bindings", vhost, "e", source, target_kind[0], target),
                {"routing_key": routing_key, "arguments": msgspec.json.decode(arguments or "{}")},
            )


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
