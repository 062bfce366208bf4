"""The topology files at the local broker, with an owner: what the files no longer name is removed, or named."""

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

__all__ = ["OWNER", "TOPOLOGY", "VHOST", "apply", "load"]

OWNER = "local"
VHOST = "orders"
TOPOLOGY = CHECKOUT / "charts" / "warren" / "topology"


class TopologyRefusedError(LocalError):
    """The topology cannot be applied; the message says what of it and why."""


def load(*paths: Path) -> list[broker_topology.LoadedTopology]:
    """The files, valid together. Raises TopologyRefusedError."""
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
    say: Callable[[str], None],
    *,
    owner: str = OWNER,
    neighbours: Sequence[broker_topology.LoadedTopology] = (),
) -> None:
    """Brings the broker to what the files say. `say` gets a line about what was removed, and one about what was kept.

    What an earlier run left without an owner gets one. Takes eleven seconds longer when it removes queues: the broker's
    counts are believed only after that. Raises TopologyRefusedError.
    """
    try:
        outcome = await broker_topology.reconcile(
            topologies,
            owner=owner,
            api=api,
            secrets=broker_topology.SecretDirectory(secrets),
            peers=neighbours,
        )
        unowned = await _queues_without_owner(api)
    except broker_topology.TopologyError as error:
        raise TopologyRefusedError(str(error)) from error
    if outcome.plan.blocked:
        raise TopologyRefusedError(
            "The broker holds queues or exchanges that differ from the topology files in what cannot be changed:"
            f" {'; '.join(title(step) for step in outcome.plan.blocked)}. Start from empty: warren up --fresh"
        )
    if outcome.failures:
        raise TopologyRefusedError("; ".join(f"{what}: {reason}" for what, reason in outcome.failures))
    removed = [f"{step.kind.value} {step.key}" for step in outcome.plan.steps if step.action is Action.DELETE]
    if removed:
        say(f"Removed from the broker, since the topology files no longer name it: {', '.join(removed)}")
    retained = outcome.of(Status.RETAINED)
    kept = [f"{each.kind.value} {each.name} ({each.message})" for each in retained if each.kind is ObjectKind.QUEUE]
    if retained:
        rest = len(retained) - len(kept)
        kept += [f"{rest} more {'object' if rest == 1 else 'objects'}"] if rest else []
        say(f"Kept at the broker, though the topology files no longer name it: {', '.join(kept)}")
    if unowned:
        say(
            f"The broker also holds what no topology file names: queue {', '.join(unowned)}."
            " Delete it in RabbitMQ's page, or start from empty: warren up --fresh"
        )


async def _queues_without_owner(api: broker_topology.ManagementApi) -> list[str]:
    """Queues of the virtual host that no owner has on record: of runs before there were owners, or made by hand."""
    owned = {
        identity.name[0]
        for record in (await records(api)).values()
        for kind, identity in record.claims
        if kind is ObjectKind.QUEUE and identity.vhost == VHOST
    }
    listed = await api.get(path("queues", VHOST) + "?disable_stats=true&columns=name")
    return sorted({str(each["name"]) for each in listed} - owned)
