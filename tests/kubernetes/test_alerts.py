"""Each alert about the operator fires by its fault and clears after the repair, with a real Prometheus.

Rules have shorter times: tests/rules/shortened.py.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker_topology.broker.management_api import path
from devtools.ports import LOOPBACK, remembered_ports
from devtools.servers.prometheus import ScrapeJob, running_prometheus
from tests.kubernetes.api_client import has_reason
from tests.kubernetes.environment import OperatorEnv
from tests.kubernetes.operator_process import OperatorProcess
from tests.rules.shortened import INTERVAL, write_shortened
from tests.rules.watched_shop import AlertWatch

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

MIN_RESYNC_SECONDS = 5


@pytest.fixture
def metrics_port(tmp_path: Path) -> int:
    return remembered_ports(tmp_path / "ports.json", ["operator"])["operator"]


@pytest.fixture
async def operator(env: OperatorEnv, metrics_port: int) -> OperatorProcess:
    return await env.start_operator(metrics_port=str(metrics_port))


@pytest.fixture
async def alerts(operator: OperatorProcess, metrics_port: int, tmp_path: Path) -> AsyncIterator[AlertWatch]:
    """In threads: the emulated API server runs in this one."""
    job = ScrapeJob("topology-operator", {f"{LOOPBACK}:{metrics_port}": {"namespace": "warren"}}, honor_labels=True)
    rules = [file for file in write_shortened(tmp_path / "rules") if file.name == "operator.yaml"]
    context = running_prometheus(tmp_path / "prometheus", [job], rules, interval=INTERVAL)
    prometheus = await asyncio.to_thread(context.__enter__)
    try:
        yield AlertWatch(prometheus.api)
    finally:
        await asyncio.to_thread(context.__exit__, None, None, None)


async def test_a_topology_is_blocked(env: OperatorEnv, alerts: AlertWatch) -> None:
    wanted = [("WarrenTopologyNotReady", "ticket", "shop"), ("WarrenDriftNotRepaired", "ticket", "Blocked")]
    await env.create_ready("shop", queues={"a": {"maxLength": 10}})
    await env.change("shop", queues={"a": {"maxLength": 20}})
    await env.wait_until("shop", has_reason("Blocked"))
    await asyncio.to_thread(alerts.wait_until_firing, *wanted)
    await env.change_ready("shop", queues={"a": {"maxLength": 10}})
    await asyncio.to_thread(alerts.wait_until_cleared, *wanted)


async def test_another_owner_deletes_a_queue_again_and_again(env: OperatorEnv, alerts: AlertWatch) -> None:
    wanted = ("WarrenDriftReturns", "ticket", "shop")
    await env.create_ready("shop", resyncSeconds=MIN_RESYNC_SECONDS, queues={"a": {}})
    firing = asyncio.create_task(asyncio.to_thread(alerts.wait_until_firing, wanted))
    async with env.management_api() as api:
        while not firing.done():
            await env.wait_until_broker("queues", lambda queues: "a" in queues)
            await api.delete(path("queues", env.vhost, "a"))
    await firing
    await asyncio.to_thread(alerts.wait_until_cleared, wanted)


async def test_the_operator_is_down(env: OperatorEnv, operator: OperatorProcess, alerts: AlertWatch) -> None:
    wanted = ("WarrenOperatorDown", "ticket", "")
    await env.create_ready("shop", queues={"a": {}})
    await operator.kill()
    await asyncio.to_thread(alerts.wait_until_firing, wanted)
    await operator.start()
    await asyncio.to_thread(alerts.wait_until_cleared, wanted)
