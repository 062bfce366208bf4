"""Every expression of the rules and dashboards returns data on a real Prometheus, under load and with faults."""

import asyncio
import math
import os
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import kopf
import pytest
import yaml

from broker_topology.broker.management_api import path
from devtools.paths import CHECKOUT, instance_dir
from devtools.ports import LOOPBACK, remembered_ports
from devtools.servers.prometheus import ScrapeJob
from faults.harness import FaultHarness, eventually
from services.registry import SERVICE_NAMES
from tests.conftest import SEED
from tests.faults.customers import Customers
from tests.kubernetes.api_client import ApiClient, has_reason
from tests.kubernetes.emulator.server import ApiServerEmulator
from tests.kubernetes.environment import OperatorEnv
from tests.observability import expressions
from tests.observability.expressions import PromqlExpression
from tests.servers import remove_instance
from warren.prometheus_api import PrometheusApi

LOAD_SECONDS = 120.0
NAMESPACE = "local"
"""Of the Topology; its series have the label of all others."""
POISON = b"no event"
STEP = 5.0  # seconds, as between two scrapes

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture
def operator_port(tmp_path: Path) -> int:
    return remembered_ports(tmp_path / "ports.json", ["operator"])["operator"]


@pytest.fixture
def harness(operator_port: int) -> Iterator[FaultHarness]:
    folder = instance_dir(f"observability-{os.getpid()}")
    harness = FaultHarness(folder, prometheus=True)
    assert harness.monitoring is not None
    operator: dict[str, dict[str, str]] = {f"{LOOPBACK}:{operator_port}": {}}
    harness.monitoring.further_jobs.append(ScrapeJob("topology-operator", operator, honor_labels=True))
    with harness:
        yield harness
    remove_instance(folder)


@pytest.fixture
async def operator_env(harness: FaultHarness, operator_port: int, tmp_path: Path) -> AsyncIterator[OperatorEnv]:
    async with ApiServerEmulator() as emulator:
        emulator.install(yaml.safe_load((CHECKOUT / "operator/crds/topologies.yaml").read_text()))
        client = ApiClient(kopf.ConnectionInfo(server=emulator.url, token="admin-token"))
        env = OperatorEnv(client, harness.servers.broker.endpoints, tmp_path, NAMESPACE)
        await env.set_up()
        await env.start_operator(metrics_port=str(operator_port))
        yield env
        await env.tear_down()
        await client.close()


async def test_every_expression_returns_data_under_load_with_faults(
    harness: FaultHarness, operator_env: OperatorEnv
) -> None:
    assert harness.monitoring is not None
    began = time.time()
    customers = Customers(harness.url("order-api"), SEED)
    await drift(operator_env)
    await asyncio.to_thread(load, harness, customers)
    customers.close()
    await asyncio.sleep(2 * STEP)  # the last changes are scraped, and the rules evaluated after that
    api = harness.monitoring.prometheus.api
    assert [(rule["name"], rule["lastError"]) for rule in api.rules() if rule["health"] != "ok"] == []
    found = [*expressions.of_rules(), *expressions.of_dashboards()]
    assert len(found) > 100
    empty = [f"{each.origin}: {text}" for each in found for text in without_data(api, each, began)]
    assert not empty, "\n".join(empty)


def without_data(api: PrometheusApi, expression: PromqlExpression, began: float) -> list[str]:
    """Return the parts of an expression that had no number at any time since `began`."""

    def has_data(text: str) -> bool:
        series = api.query_range(text, began, time.time(), STEP)
        return any(not math.isnan(value) for each in series for _, value in each.points)

    return [text for text in expression.data() if not has_data(text)]


def load(harness: FaultHarness, customers: Customers) -> None:
    """Customers place orders of every kind for two minutes, and every kind of fault occurs once."""
    for service in SERVICE_NAMES:  # the first sweeps would be some time within an hour
        harness.sql(f'UPDATE "{service}".retention SET due_at = now()')  # noqa: S608
    with customers.ordering(400, LOAD_SECONDS):
        customers.order("kettle", paymentToken="tok_flaky")
        for queue in ("inventory.queue", "payment.queue"):
            harness.put_messages([(queue, POISON)])
        lose_a_binding(harness, customers)
        fill_a_queue(harness, customers)
        harness.set_failpoint("inventory", "before ack")
        eventually(lambda: "inventory" not in harness.processes.pids)
        harness.wait_for_exit("inventory")
        harness.start_service("inventory")
        lose_the_providers(harness, customers)
        harness.servers.postgres.restart(kill=True)
        time.sleep(5)
        harness.crash_broker()
        time.sleep(5)
    harness.repair()
    for service in SERVICE_NAMES:
        eventually(partial(harness.count, f'"{service}".retention', "finished_at IS NOT NULL"), 120)


def lose_a_binding(harness: FaultHarness, customers: Customers) -> None:
    """The broker returns an event that no queue takes."""
    for target in ("audit.fanout.exchange", "workflow.exchange"):
        harness.unbind("order.exchange", "e", target, "#")
    try:
        customers.order("item4")
        eventually(lambda: harness.count('"order".outbox', "last_error = 'no queue took it'"))
    finally:
        harness.restore_topology()


def fill_a_queue(harness: FaultHarness, customers: Customers) -> None:
    """The broker refuses events while a queue is full."""
    harness.limit_queue("shipping.queue", 1)
    harness.freeze("shipping")
    try:
        eventually(lambda: harness.count('"payment".outbox', "last_error IS NOT NULL"))
    finally:
        harness.thaw("shipping")
        harness.unlimit_queue("shipping.queue")


def lose_the_providers(harness: FaultHarness, customers: Customers) -> None:
    """Mail server and SMS provider do not answer, so that the circuit breakers open."""
    contact = {"email": "ann@customers.example", "phone": "+94 11 234 5678"}
    harness.processes.kill("sinks")
    for _ in range(10):
        customers.order("item1", contact=contact)
    time.sleep(10)
    harness.processes.restart_ended("sinks")


async def drift(env: OperatorEnv) -> None:
    """The operator repairs a queue that was deleted at the broker."""
    await env.create_ready("shop", resyncSeconds=5, queues={"a": {}})
    async with env.management_api() as api:
        await api.delete(path("queues", env.vhost, "a"))
    await env.wait_until("shop", has_reason("Repaired", condition="Drifted"))
