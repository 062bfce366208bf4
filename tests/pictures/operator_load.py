"""The operator with an emulated API server: Topologies, drift, and a change that it cannot make."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import kopf
import yaml

from broker_topology.broker.management_api import path
from devtools.servers.endpoints import BrokerEndpoints
from devtools.servers.prometheus import ScrapeJob, running_prometheus
from tests.kubernetes.api_client import ApiClient
from tests.kubernetes.emulator.server import ApiServerEmulator
from tests.kubernetes.environment import OperatorEnv
from tests.kubernetes.operator_process import ROOT
from tests.pictures.shop_load import LoadRun
from warren.prometheus_api import PrometheusApi

NAMESPACE = "warren"
SCRAPE_INTERVAL = 3.0  # seconds
RESYNC_SECONDS = 5
TOPOLOGIES = {
    "shared": ("unrouted.queue",),
    "payment": ("payment.queue", "payment.dlq"),
    "sms": ("sms.queue", "sms.dlq"),
}
CAPTION = "Two queues are deleted by hand, then a change that would lose messages is declared and taken back"


@asynccontextmanager
async def observed_operator(broker: BrokerEndpoints, folder: Path) -> AsyncIterator[tuple[PrometheusApi, LoadRun]]:
    """Run the operator and Prometheus, change Topologies and queues for a minute, and keep Prometheus for the block."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    async with ApiServerEmulator() as emulator:
        emulator.install(yaml.safe_load((ROOT / "operator/crds/topologies.yaml").read_text()))
        client = ApiClient(kopf.ConnectionInfo(server=emulator.url, token="admin-token"))
        env = OperatorEnv(client, broker, folder, NAMESPACE)
        await env.set_up()
        try:
            operator = await env.start_operator()
            port = operator.logged("started")[-1]["metrics_port"]
            jobs = [ScrapeJob("topology-operator", {f"127.0.0.1:{port}": {}})]
            with running_prometheus(folder / "prometheus", jobs, interval=SCRAPE_INTERVAL) as prometheus:
                start = time.time()
                await _make_changes(env)
                yield prometheus.api, LoadRun(start, time.time(), CAPTION)
        finally:
            await env.tear_down()
            await client.close()


async def _make_changes(env: OperatorEnv) -> None:
    for name, queues in TOPOLOGIES.items():
        await env.create_ready(name, resyncSeconds=RESYNC_SECONDS, queues={queue: {} for queue in queues})
        await asyncio.sleep(3)
    async with env.management_api() as api:
        for queue in ("payment.dlq", "sms.dlq"):
            await api.delete(path("queues", env.vhost, queue))
            await asyncio.sleep(10)
    await env.change("payment", queues={"payment.queue": {"maxLength": 10}, "payment.dlq": {}})
    await asyncio.sleep(12)
    await env.change_ready("payment", queues={"payment.queue": None, "payment.dlq": {}})
    await asyncio.sleep(15)
