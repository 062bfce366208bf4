"""Small runs of the benchmarks: they work, and every invariant holds. Their speed is not checked."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiormq import spec

from devtools.paths import CHECKOUT, instance_dir
from devtools.servers.servers import Servers
from loadtest import schedule, topology
from loadtest.baseline import counts
from loadtest.baseline.command import measure_baseline
from loadtest.consumer.command import TOPOLOGY
from loadtest.consumer.comparison import PROBE, RAW_LOOP, ConsumerComparison, ConsumerResult
from loadtest.effects import SIDES
from loadtest.environment import BenchmarkEnv
from loadtest.orders.run import run_orders
from loadtest.orders.warren_system import WarrenSystem
from loadtest.plain.system import PlainSystem
from loadtest.tracing import compare_tracing
from services.registry import PROCESSES
from tests.servers import remove_instance
from warren.progress import ProgressReport
from warren.sinks.traces import TraceSink

ORDERS = 20
TRACED = 12
"""Orders of the comparison with traces, before the others."""
INSTANCE = f"test-loadtest-{os.getpid()}"


@pytest.fixture
def folder() -> Iterator[Path]:
    """The folder of servers that one test uses alone."""
    folder = instance_dir(INSTANCE)
    yield folder
    remove_instance(folder)


async def test_a_consumer_loses_and_duplicates_nothing(servers: Servers) -> None:
    env = BenchmarkEnv(servers, "probe", TOPOLOGY)
    sides = {"warren": (PROBE, "handler"), "raw": (RAW_LOOP, "rounds")} | SIDES
    comparison = ConsumerComparison(env, sides, messages=400, rounds=1, seed=1)
    async with env.prepared():
        results, broken = await comparison.run(lambda *_: None)
    assert broken == []
    assert {name: side.rounds[0].messages for name, side in results.items()} == dict.fromkeys(sides, 400)
    assert ConsumerResult(results["warren"], results["raw"], broken).target.value > 0


async def test_checks_of_two_sizes_of_topology_need_as_many_requests(servers: Servers) -> None:
    small, whole = await topology.measure_topologies(servers, 40)
    assert (small.objects, whole.objects) == (40, 400)
    assert small.left_to_do == whole.left_to_do == 0
    assert small.check_requests == whole.check_requests


async def test_scheduled_messages_cost_few_pages_and_are_published_once(servers: Servers) -> None:
    costs, rates, published, distinct = await schedule.measure_schedule(servers, waiting=3000, due=700, seconds=0.5)
    assert [cost.waiting for cost in costs] == [0, 3000]
    assert max(cost.pages for cost in costs) <= schedule.MAX_PAGES
    assert published == distinct == 700
    assert min(rates.values()) > 0


def test_orders_complete_in_warren_and_in_the_plain_system_on_the_same_servers(folder: Path) -> None:
    sink = TraceSink()
    sink.start()
    exported = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": sink.url,
        "OTEL_TRACES_SAMPLER_ARG": "1",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    with WarrenSystem(folder, ProgressReport(quiet=True), environment=exported) as warren:
        asyncio.run(_compare_tracing(warren, sink))
        asyncio.run(_complete_orders(warren))
        warren.system.processes.stop_all()
        asyncio.run(_measure_baseline(warren))
        asyncio.run(_complete_plain_orders(warren))
    sink.stop()


async def _compare_tracing(warren: WarrenSystem, sink: TraceSink) -> None:
    """Compare the system with itself: what is tested is the command."""
    found = await compare_tracing(warren, warren, sink, pairs=1, orders=TRACED // 2 - 1, connections=2, seed=2)
    assert found.ratio.median > 0
    assert [check for check in found.checks if not check.held] == []
    assert found.spans > 40 * TRACED // 2


async def _complete_orders(warren: WarrenSystem) -> None:
    done, accepted = await run_orders(warren, orders=ORDERS, connections=4, seed=1)
    assert done.orders == ORDERS == len(set(accepted))
    assert done.seconds > 0
    assert set(done.service_cpu) == set(warren.pids)
    broken = [check for check in await warren.check_invariants(accepted) if not check.held]
    assert broken == []
    # An event that is published again must show, although every inbox absorbs it.
    await _publish_again(warren)
    await asyncio.sleep(1.5)
    held = {check.name: check.held for check in await warren.check_invariants(accepted)}
    assert not held.pop("every event was published exactly once")
    assert all(held.values())


async def _publish_again(warren: WarrenSystem) -> None:
    broker = warren.servers.broker.endpoints
    body = await warren.fetchval("SELECT body FROM audit.events WHERE type = 'payment.success' LIMIT 1")
    user, password = warren.system.broker_login("payment")
    async with broker.channel("orders", user, password) as channel:
        await channel.basic_publish(
            body,
            exchange="order.exchange",
            routing_key="payment.success",
            properties=spec.Basic.Properties(delivery_mode=2, user_id=user),
        )


async def _measure_baseline(warren: WarrenSystem) -> None:
    counted = await counts.count(warren.servers.postgres.endpoint, ORDERS + TRACED)
    # The counts of a typical order for `loadtest baseline`, except `updated`, which depends on timing.
    assert (counted.published, counted.consumed, counted.events) == (14, 34, 25)
    assert counted.ids == counts.TYPICAL.ids
    assert counted.states == counts.TYPICAL.states
    baseline = await measure_baseline(warren.servers, counted, ORDERS)
    assert min(baseline.publishing, baseline.consuming, baseline.inserting) > 0


async def _complete_plain_orders(warren: WarrenSystem) -> None:
    plain = PlainSystem(warren.servers, warren.system.folder)
    async with plain.running():
        done, accepted = await run_orders(plain, orders=ORDERS, connections=4, seed=1)
        assert done.orders == ORDERS
        assert set(done.service_cpu) == set(PROCESSES)
        broken = [check for check in await plain.check_invariants(accepted) if not check.held]
        assert broken == []


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "arguments",
    [("consumer", "--messages", "500", "--rounds", "1"), ("orders", "--orders", "50"), ("compare", "--orders", "50")],
    ids=lambda arguments: arguments[0],
)
def test_a_command_writes_its_figures(arguments: tuple[str, ...], tmp_path: Path, folder: Path) -> None:
    command = [sys.executable, "-m", "loadtest", *arguments, "--instance", INSTANCE]
    command += ["--json", str(tmp_path / "figures.json")]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode in {0, 3}, done.stdout + done.stderr
    assert "Verdict" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    assert json.loads((tmp_path / "figures.json").read_text())["host"]["libraries"]["aio-pika"]
