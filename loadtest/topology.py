"""`python -m loadtest topology`: target P7, a thousand objects onto a broker, and the check that nothing changed."""

import asyncio
import time
from typing import Annotated

import msgspec
import yaml
from cyclopts import Parameter
from cyclopts.validators import Number

import broker_topology
from broker_topology import LoadedTopology, ManagementApi, SecretDirectory
from broker_topology.broker import ownership
from broker_topology.broker.management_api import path
from devtools.servers.servers import Servers
from loadtest import report
from loadtest.benchmark import InstanceName, Json, finish, private_servers
from loadtest.results import Host, Target
from warren.progress import ProgressReport

EXCHANGES, QUEUES, BINDINGS, USERS, PERMISSIONS_PER_USER = 50, 150, 600, 50, 3
MIN_RATE = 400.0  # objects a second
MAX_CHECK_SECONDS = 1.0
VHOST = "loadtest-topology"


class TopologyCost(msgspec.Struct, frozen=True):
    objects: int
    apply_seconds: float
    check_seconds: float
    check_requests: int
    left_to_do: int
    """Steps that the check found, and objects that the broker refused; 0 when all is well."""

    @property
    def rate(self) -> float:
        return self.objects / self.apply_seconds


def topology(
    *,
    scale: Annotated[int, Parameter(help="Per cent of a thousand objects.", validator=Number(gte=40))] = 100,
    json: Json = None,
    instance: InstanceName = "loadtest",
) -> int:
    """Target P7: apply a thousand objects to an empty broker, and check that nothing is left to do.

    50 exchanges, 150 quorum queues, 600 bindings, 50 users, 150 permissions, by the engine that the operator uses. A
    tenth of it is measured first: a check of the whole must not need more requests than that of the tenth. Exit codes:
    0 the targets are met, 1 the check finds something to do or needs more requests, 3 a target is missed.

    Example: python -m loadtest topology
    """
    host, progress = Host.current(), ProgressReport()
    with private_servers(instance, progress) as servers, progress.step("Topologies of two sizes"):
        small, whole = asyncio.run(measure_topologies(servers, scale))
    broken = [f"{each.left_to_do} steps are left to do" for each in (small, whole) if each.left_to_do]
    if whole.check_requests > small.check_requests:
        broken.append(f"the check needs {whole.check_requests} requests, and {small.check_requests} for a tenth of it")
    report.host(host)
    report.heading("Topology")
    report.table(
        ["objects", "apply s", "objects/s", "check s", "check requests"],
        [
            [f"{each.objects:,}", f"{each.apply_seconds:.2f}", f"{each.rate:.0f}", f"{each.check_seconds:.2f}",
             str(each.check_requests)]
            for each in (small, whole)
        ],
    )  # fmt: skip
    return finish(
        json,
        targets=[
            Target("P7", "objects/s onto an empty broker", whole.rate, MIN_RATE),
            Target("P7", "seconds for a check without changes", whole.check_seconds, MAX_CHECK_SECONDS, at_most=True),
        ],
        broken=broken,
        host=host,
        small=small,
        whole=whole,
    )


async def measure_topologies(servers: Servers, scale: int) -> tuple[TopologyCost, TopologyCost]:
    """Measure a tenth of the topology, and then all of it."""
    broker = servers.broker.endpoints
    secrets = SecretDirectory(servers.instance_dir / "topology-secrets")
    async with broker.management_api() as api:
        return await _measure(api, secrets, scale // 10), await _measure(api, secrets, scale)


async def _measure(api: ManagementApi, secrets: SecretDirectory, scale: int) -> TopologyCost:
    wanted = build_topology(scale)
    try:
        started = time.perf_counter()
        first = await broker_topology.reconcile(wanted, owner=VHOST, api=api, secrets=secrets)
        applied, requests = time.perf_counter(), sum(api.requests.values())
        again = await broker_topology.reconcile(wanted, owner=VHOST, api=api, secrets=secrets)
        checked = time.perf_counter()
        return TopologyCost(
            objects=(EXCHANGES + QUEUES + BINDINGS + USERS + USERS * PERMISSIONS_PER_USER) * scale // 100,
            apply_seconds=applied - started,
            check_seconds=checked - applied,
            check_requests=sum(api.requests.values()) - requests,
            left_to_do=len(again.plan.steps) + len(first.failures),
        )
    finally:
        await ownership.remove(api, VHOST)
        await api.delete(path("vhosts", VHOST))
        for loaded in wanted:
            for name in loaded.spec.users:
                await api.delete(path("users", name))


def build_topology(scale: int) -> list[LoadedTopology]:
    """Quorum queues, each with four bindings to topic exchanges, and users with permissions for some of them."""
    exchanges, queues, bindings, users = (count * scale // 100 for count in (EXCHANGES, QUEUES, BINDINGS, USERS))

    def user(number: int) -> dict[str, object]:
        writable = [f"e{number % exchanges}", f"e{(number + 1) % exchanges}"]
        return {
            "secretName": f"loadtest-u{number}",
            "permissions": {"write": f"^({'|'.join(writable)})$", "read": f"^q{number}$"},
            "topicPermissions": [{"exchange": exchange, "write": "^key\\."} for exchange in writable],
        }

    spec = {
        "vhost": VHOST,
        "exchanges": {f"e{number}": {"type": "topic"} for number in range(exchanges)},
        "queues": {f"q{number}": {"deliveryLimit": 100} for number in range(queues)},
        "bindings": [
            {"source": f"e{number % exchanges}", "queue": f"q{number % queues}", "routingKey": f"key.{number}"}
            for number in range(bindings)
        ],
        "users": {f"loadtest-u{number}": user(number) for number in range(users)},
    }
    metadata = {"apiVersion": "warren.dev/v1alpha1", "kind": "Topology", "metadata": {"name": "loadtest"}}
    return broker_topology.parse(yaml.safe_dump({**metadata, "spec": spec}))
