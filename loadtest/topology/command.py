"""`python -m loadtest topology`."""

import asyncio
import time
from typing import Annotated

import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number

import broker_topology
from broker_topology import LoadedTopology, ManagementApi, SecretDirectory
from broker_topology.broker import ownership
from broker_topology.broker.management_api import path
from devtools.local.instance import Instance
from devtools.servers.servers import Servers
from loadtest import machine, report
from loadtest.mark import Mark, exit_code
from loadtest.options import InstanceName, Json
from loadtest.topology import shape
from warren.progress import ConsoleProgress

LEAST_RATE = 400.0  # objects a second
LONGEST_CHECK = 1.0  # seconds
VHOST = "loadtest-topology"


class Measured(msgspec.Struct, frozen=True):
    objects: int
    apply_seconds: float
    check_seconds: float
    check_requests: int
    left_to_do: int
    """Steps that the re-check still found, and what the broker refused; none when all is well."""

    @property
    def rate(self) -> float:
        return self.objects / self.apply_seconds


class Result(msgspec.Struct, frozen=True):
    machine: machine.Machine
    small: Measured
    whole: Measured
    marks: list[Mark]


def topology(
    *,
    scale: Annotated[int, Parameter(help="Per cent of a thousand objects.", validator=Number(gte=40))] = 100,
    json: Json = None,
    instance: InstanceName = "loadtest",
) -> int:
    """Mark P7: a thousand objects onto an empty broker, and the check that nothing is left to do.

    50 exchanges, 150 quorum queues, 600 bindings, 50 users, 150 permissions, by the engine that the operator uses. A
    tenth of it is measured first: a check of the whole must not need more requests than that of the tenth. Exit codes:
    0 the marks are met, 1 the check finds something to do or needs more requests, 3 a mark is missed.

    Example: python -m loadtest topology
    """
    facts, told = machine.facts(), ConsoleProgress()
    with Instance(instance) as held, Servers(held.dir, report=told, fresh=True) as servers:
        held.record({}, servers.pids)
        with told.step("Topologies of two sizes"):
            small, whole = asyncio.run(measure(servers, scale))
    marks = [
        Mark("P7", "objects/s onto an empty broker", whole.rate, LEAST_RATE),
        Mark("P7", "seconds for checking them unchanged", whole.check_seconds, LONGEST_CHECK, at_most=True),
    ]
    broken = [f"{each.left_to_do} steps are left to do" for each in (small, whole) if each.left_to_do]
    if whole.check_requests > small.check_requests:
        broken.append(f"checking needs {whole.check_requests} requests, and {small.check_requests} for a tenth of it")
    report.machine(facts)
    report.heading("Topology")
    report.table(
        ["objects", "apply s", "objects/s", "check s", "check requests"],
        [_row(each) for each in (small, whole)],
    )
    report.marks(marks, broken)
    report.write_json(json, Result(facts, small, whole, marks))
    return exit_code(marks, broken)


def _row(each: Measured) -> list[str]:
    applied = [f"{each.objects:,}", f"{each.apply_seconds:.2f}", f"{each.rate:.0f}"]
    return [*applied, f"{each.check_seconds:.2f}", str(each.check_requests)]


async def measure(servers: Servers, scale: int) -> tuple[Measured, Measured]:
    broker = servers.broker.address
    login = (broker.admin_username, broker.admin_password)
    secrets = SecretDirectory(servers.instance_dir / "topology-secrets")
    async with ManagementApi(broker.management_url, *login, ca_file=broker.ca_file) as api:
        small = await _measure(api, secrets, scale // 10)
        whole = await _measure(api, secrets, scale)
    return small, whole


async def _measure(api: ManagementApi, secrets: SecretDirectory, scale: int) -> Measured:
    wanted = shape.topology(VHOST, scale)
    try:
        started = time.perf_counter()
        made = await broker_topology.reconcile_all(wanted, owner=VHOST, api=api, secrets=secrets)
        applied, asked = time.perf_counter(), sum(api.requests.values())
        again = await broker_topology.reconcile_all(wanted, owner=VHOST, api=api, secrets=secrets)
        checked = time.perf_counter()
        return Measured(
            objects=shape.objects(scale),
            apply_seconds=applied - started,
            check_seconds=checked - applied,
            check_requests=sum(api.requests.values()) - asked,
            left_to_do=len(again.plan.steps) + len(made.failures),
        )
    finally:
        await _remove(api, wanted)


async def _remove(api: ManagementApi, topologies: list[LoadedTopology]) -> None:
    await ownership.remove(api, VHOST)
    await api.delete(path("vhosts", VHOST))
    for loaded in topologies:
        for name in loaded.spec.users:
            await api.delete(path("users", name))
