"""Brings a broker to what the topology says.

Order: check the whole graph, read the broker, make missing credentials, plan, write. Nothing is written before
everything is checked. The broker has no transactions, so a failure in the middle leaves part of the plan done; every
write is idempotent and running again continues where it stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from broker_topology.desired import desired
from broker_topology.errors import AccessRefused, ApplyIncomplete, RequestFailed
from broker_topology.management_api import ManagementApi, path
from broker_topology.model import Loaded
from broker_topology.observe import observe
from broker_topology.passwords import WRITTEN_ALGORITHM, hash_password
from broker_topology.plan import STAGES, Plan, Step, plan, user_names
from broker_topology.rendering import title
from broker_topology.secrets import Credentials, SecretStore, ensured, stored
from broker_topology.state import Kind, State, key
from broker_topology.validation import validate

DECLARED = frozenset({Kind.EXCHANGE, Kind.QUEUE, Kind.BINDING})
"""What the broker lets only those declare who have permissions in the virtual host, administrators included."""

Progress = Callable[[Step, int, int], None]
"""Called after each write with the step, how many are done, and how many there are."""


class Applied(msgspec.Struct, frozen=True):
    """What `apply` did: the plan as it was carried out. `plan.blocked` is what it could not do."""

    plan: Plan


async def preview(topologies: Sequence[Loaded], api: ManagementApi, secrets: SecretStore) -> Plan:
    """What `apply` would do, writing nothing anywhere.

    Raises `InvalidTopology`, `SecretError`, `BrokerError`.
    """
    validate(topologies)
    wanted = desired(topologies)
    names = user_names(wanted)
    credentials = {name: await stored(secrets, secret, name) for name, secret in names.items()}
    return plan(wanted, await _observed(api, wanted), credentials)


async def apply(
    topologies: Sequence[Loaded], api: ManagementApi, secrets: SecretStore, progress: Progress | None = None
) -> Applied:
    """Writes the difference, and nothing when there is none.

    Blocked steps are returned, not raised: everything else is done. Raises `InvalidTopology` and `SecretError` before
    anything is written at the broker, `ApplyIncomplete` when the broker refused steps, `BrokerError` when it is gone.
    """
    validate(topologies)
    wanted = desired(topologies)
    observed = await _observed(api, wanted)
    credentials = {name: await ensured(secrets, secret, name) for name, secret in user_names(wanted).items()}
    steps = plan(wanted, observed, credentials)
    _check_rights(api.username, steps, observed)
    await execute(steps, api, credentials, progress)
    return Applied(steps)


async def execute(
    steps: Plan, api: ManagementApi, credentials: Mapping[str, Credentials], progress: Progress | None = None
) -> None:
    """Carries out a plan, stage after stage, the steps of a stage at the same time.

    A refused step does not stop its own stage, but the next one, which builds on it. Raises as `apply`.
    """
    writes = steps.writes
    done = 0
    for position, stage in enumerate(STAGES):
        todo = [step for step in writes if step.kind in stage]
        failures: list[tuple[str, str]] = []

        async def carry_out(step: Step, failures: list[tuple[str, str]] = failures) -> None:
            nonlocal done
            try:
                await _write(step, api, credentials)
            except (RequestFailed, AccessRefused) as exc:
                failures.append((title(step), str(exc)))
            else:
                done += 1
                if progress is not None:
                    progress(step, done, len(writes))

        await _all(_lanes(todo), carry_out, api.concurrency)
        if failures:
            later = [step for step in writes if any(step.kind in each for each in STAGES[position + 1 :])]
            raise ApplyIncomplete(failures, len(later))


def _check_rights(username: str, steps: Plan, observed: State) -> None:
    """One message instead of one for each object. Who makes a virtual host gets rights in it; others need a grant."""
    for vhost in sorted({step.key.vhost for step in steps.writes if step.kind in DECLARED}):
        if key(vhost) in observed[Kind.VHOST] and key(username, vhost) not in observed[Kind.PERMISSION]:
            raise AccessRefused(
                f"user {username} has no permissions in virtual host {vhost}, which exists already; grant them first: "
                f"rabbitmqctl set_permissions -p {vhost} {username} '.*' '.*' '.*'"
            )


def _lanes(steps: Sequence[Step]) -> list[list[Step]]:
    """What may run side by side; within a lane, one after the other.

    All limits of one owner are one record at the broker, read, changed and written back by each request: measured on
    4.3.6, one of two at the same time is lost.
    """
    lanes: dict[object, list[Step]] = {}
    for step in steps:
        one_record = step.kind in {Kind.VHOST_LIMIT, Kind.USER_LIMIT}
        lanes.setdefault((step.kind, step.key.name[0] if one_record else step.key), []).append(step)
    return list(lanes.values())


async def _all(lanes: Sequence[Sequence[Step]], carry_out: Callable[[Step], Awaitable[None]], workers: int) -> None:
    """A few workers over one list: thousands of steps make no thousands of tasks. The first fatal error ends all."""
    queue = iter(lanes)

    async def work() -> None:
        for lane in queue:
            for step in lane:
                await carry_out(step)

    tasks = [asyncio.create_task(work()) for _ in range(min(workers, len(lanes)))]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _observed(api: ManagementApi, wanted: State) -> State:
    return await observe(api, [identity.name[0] for identity in wanted[Kind.VHOST]])


async def _write(step: Step, api: ManagementApi, credentials: Mapping[str, Credentials]) -> None:
    vhost, name = step.key.vhost, step.key.name
    match step.kind:
        case Kind.VHOST:
            await api.put(path("vhosts", *name), {})
        case Kind.USER:
            await api.put(path("users", *name), _user_body(step, credentials))
        case Kind.VHOST_LIMIT:
            await api.put(path("vhost-limits", *name), step.body)
        case Kind.USER_LIMIT:
            await api.put(path("user-limits", *name), step.body)
        case Kind.EXCHANGE:
            await api.put(path("exchanges", vhost, *name), step.body)
        case Kind.QUEUE:
            await api.put(path("queues", vhost, *name), step.body)
        case Kind.POLICY:
            await api.put(path("policies", vhost, *name), step.body)
        case Kind.OPERATOR_POLICY:
            await api.put(path("operator-policies", vhost, *name), step.body)
        case Kind.PERMISSION:
            await api.put(path("permissions", vhost, *name), step.body)
        case Kind.TOPIC_PERMISSION:
            user, exchange = name
            await api.put(path("topic-permissions", vhost, user), {"exchange": exchange, **step.body})
        case Kind.BINDING:
            source, target_kind, target, routing_key, arguments = name
            await api.post(
                path("bindings", vhost, "e", source, target_kind[0], target),
                {"routing_key": routing_key, "arguments": msgspec.json.decode(arguments or "{}")},
            )


def _user_body(step: Step, credentials: Mapping[str, Credentials]) -> dict[str, Any]:
    body = {
        "tags": ",".join(step.body["tags"]),
        "password_hash": step.body.get("password_hash"),
        "hashing_algorithm": step.body.get("hashing_algorithm", WRITTEN_ALGORITHM),
    }
    if body["password_hash"] is None:
        body["password_hash"] = hash_password(credentials[step.key.name[0]].password)
    return body
