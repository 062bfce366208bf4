"""Applies the topology files to the local broker, and removes owned objects that no file declares."""

from collections.abc import Callable, Sequence
from pathlib import Path

import broker_topology
from broker_topology.broker.management_api import path
from broker_topology.broker.ownership import records
from broker_topology.planning.plan import Action
from broker_topology.planning.rendering import title
from broker_topology.planning.result import Status
from broker_topology.planning.state import ObjectKind
from devtools.errors import LocalError
from devtools.paths import CHECKOUT

OWNER = "local"
VHOST = "orders"
TOPOLOGY = CHECKOUT / "charts" / "warren" / "topology"


class TopologyRefusedError(LocalError):
    """The topology cannot be applied; the message says which part and why."""


def load(*paths: Path) -> list[broker_topology.LoadedTopology]:
    """Load the files and validate them together. Raises TopologyRefusedError."""
    try:
        loaded = broker_topology.load(paths)
        broker_topology.validate(loaded)
    except broker_topology.TopologyError as error:
        raise TopologyRefusedError(str(error)) from error
    return loaded


async def apply(
    topologies: Sequence[broker_topology.LoadedTopology],
    api: broker_topology.ManagementApi,
    secrets: Path,
    report: Callable[[str], None],
    *,
    owner: str = OWNER,
    peers: Sequence[broker_topology.LoadedTopology] = (),
) -> None:
    """Apply the topologies. `report` gets a line about removed objects, and one about kept objects.

    Objects that have no owner, from an earlier run, are claimed. The removal of queues takes eleven seconds, until the
    broker's message counts are reliable. Raises TopologyRefusedError.
    """
    try:
        outcome = await broker_topology.reconcile(
            topologies,
            owner=owner,
            api=api,
            secrets=broker_topology.SecretDirectory(secrets),
            peers=peers,
        )
        unowned = await _queues_without_owner(api)
    except broker_topology.TopologyError as error:
        raise TopologyRefusedError(str(error)) from error
    if outcome.plan.blocked:
        raise TopologyRefusedError(
            "The broker has queues or exchanges whose unchangeable settings differ from the topology files:"
            f" {'; '.join(title(step) for step in outcome.plan.blocked)}. Start with an empty broker: warren up --fresh"
        )
    if outcome.failures:
        raise TopologyRefusedError("; ".join(f"{what}: {reason}" for what, reason in outcome.failures))
    removed = [f"{step.kind.value} {step.key}" for step in outcome.plan.steps if step.action is Action.DELETE]
    if removed:
        report(f"Removed from the broker, because no topology file declares it: {', '.join(removed)}")
    retained = outcome.of(Status.RETAINED)
    kept = [f"{each.kind.value} {each.name} ({each.message})" for each in retained if each.kind is ObjectKind.QUEUE]
    if retained:
        rest = len(retained) - len(kept)
        kept += [f"{rest} more {'object' if rest == 1 else 'objects'}"] if rest else []
        report(f"Kept at the broker, although no topology file declares it: {', '.join(kept)}")
    if unowned:
        report(
            f"The broker has queues that no topology file declares: {', '.join(unowned)}."
            " Delete them in RabbitMQ's management UI, or start with an empty broker: warren up --fresh"
        )


async def _queues_without_owner(api: broker_topology.ManagementApi) -> list[str]:
    """Return the queues of the virtual host without an owner: from old runs, or declared by hand."""
    owned = {
        key.name[0]
        for record in (await records(api)).values()
        for kind, key in record.claims
        if kind is ObjectKind.QUEUE and key.vhost == VHOST
    }
    listed = await api.get(path("queues", VHOST) + "?disable_stats=true&columns=name")
    return sorted({str(each["name"]) for each in listed} - owned)
