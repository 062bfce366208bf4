"""Small runs of the load tests: they work, and what must hold holds. Their speed is judged by nobody here."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiormq
import pytest
from aiormq import spec

from devtools.paths import CHECKOUT, instance_dir
from devtools.servers.servers import Servers
from loadtest.bench import Bench
from loadtest.consumer.command import TOPOLOGY
from loadtest.consumer.rounds import Rounds
from loadtest.floor import quantities
from loadtest.floor.measure import measure
from loadtest.orders import course
from loadtest.orders.ours import Ours
from loadtest.plain.flow import Plain
from loadtest.topology import command as topology
from services.registry import PROCESSES
from tests.servers import remove_instance
from warren.progress import SilentProgress

ORDERS = 20
INSTANCE = f"test-loadtest-{os.getpid()}"


@pytest.fixture
def folder() -> Iterator[Path]:
    """Of servers that only one test needs."""
    folder = instance_dir(INSTANCE)
    yield folder
    remove_instance(folder)


async def test_a_consumer_loses_and_doubles_nothing(servers: Servers) -> None:
    bench = Bench(servers, "probe", TOPOLOGY)
    rounds = Rounds(bench, messages=400, rounds=1, seed=1, shape="rounds")
    async with bench.laid_out():
        comparison = await rounds.run(lambda *_: None)
    assert comparison.broken == []
    assert [side.rounds[0].messages for side in (comparison.ours, comparison.raw)] == [400, 400]
    assert comparison.mark.value > 0


async def test_topology_is_measured_at_two_sizes_with_as_many_requests(servers: Servers) -> None:
    small, whole = await topology.measure(servers, 40)
    assert (small.objects, whole.objects) == (40, 400)
    assert small.left_to_do == whole.left_to_do == 0
    assert small.check_requests == whole.check_requests


def test_orders_through_ours_and_the_plain_shop_on_the_same_servers(folder: Path) -> None:
    with Ours(folder, SilentProgress()) as ours:
        asyncio.run(_ours(ours))
        ours.system.processes.stop_all()
        asyncio.run(_floor(ours))
        asyncio.run(_plain(ours))


async def _ours(ours: Ours) -> None:
    done, placed = await course.run(ours, orders=ORDERS, connections=4, seed=1, on_progress=lambda _: None)
    assert done.orders == ORDERS == len(set(placed.accepted))
    assert done.seconds > 0
    assert set(done.service_cpu) == set(ours.pids)
    broken = [check for check in await ours.judge(placed.accepted) if not check.held]
    assert broken == []
    # One event that is published again must show, though every inbox absorbs it.
    await _publish_again(ours)
    await asyncio.sleep(1.5)
    verdict = {check.name: check.held for check in await ours.judge(placed.accepted)}
    assert not verdict.pop("every event was published exactly once")
    assert all(verdict.values())


async def _publish_again(ours: Ours) -> None:
    broker = ours.servers.broker.address
    body = await ours.fetchval("SELECT body FROM audit.events WHERE type = 'payment.success' LIMIT 1")
    secret = ours.system.secrets / "payment-rabbitmq"
    user, password = (secret / "username").read_text(), (secret / "password").read_text()
    connection = await aiormq.connect(f"{broker.amqps_url(user, password, vhost='orders')}?cafile={broker.ca_file}")
    try:
        await (await connection.channel()).basic_publish(
            body,
            exchange="order.exchange",
            routing_key="payment.success",
            properties=spec.Basic.Properties(delivery_mode=2, user_id=user),
        )
    finally:
        await connection.close()


async def _floor(ours: Ours) -> None:
    counted = await quantities.counted(ours.servers.postgres.address, ORDERS)
    # What the typical order of `loadtest floor` is said to make, as far as it does not depend on timing.
    assert (counted.published, counted.consumed, counted.events) == (14, 33, 24)
    assert counted.marks == quantities.TYPICAL.marks
    assert counted.states == quantities.TYPICAL.states
    floor = await measure(ours.servers, counted, ORDERS)
    assert min(floor.publishing, floor.consuming, floor.inserting) > 0


async def _plain(ours: Ours) -> None:
    plain = Plain(ours.servers, ours.system.folder)
    async with plain.running():
        done, placed = await course.run(plain, orders=ORDERS, connections=4, seed=1, on_progress=lambda _: None)
        assert done.orders == ORDERS
        assert set(done.service_cpu) == set(PROCESSES)
        broken = [check for check in await plain.judge(placed.accepted) if not check.held]
        assert broken == []


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "arguments",
    [("consumer", "--messages", "500", "--rounds", "1"), ("orders", "--orders", "50"), ("compare", "--orders", "50")],
    ids=lambda arguments: arguments[0],
)
def test_a_command_ends_as_documented_and_writes_its_figures(
    arguments: tuple[str, ...], tmp_path: Path, folder: Path
) -> None:
    command = [sys.executable, "-m", "loadtest", *arguments, "--instance", INSTANCE]
    command += ["--json", str(tmp_path / "figures.json")]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode in {0, 3}, done.stdout + done.stderr
    assert "Verdict" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    assert json.loads((tmp_path / "figures.json").read_text())["machine"]["libraries"]["aio-pika"]
