"""A system with old rows and a long queue works, and its invariants hold over old and new orders."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools.paths import CHECKOUT, instance_dir
from loadtest.orders.run import run_orders
from loadtest.size.preloaded_system import STOPPED, PreloadedSystem
from tests.servers import remove_instance
from warren.progress import ProgressReport

INSTANCE = f"test-size-{os.getpid()}"
ROWS, MESSAGES, ORDERS = 300, 1500, 10


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = instance_dir(INSTANCE)
    yield folder
    for name in (INSTANCE, f"{INSTANCE}-empty", f"{INSTANCE}-full"):
        remove_instance(instance_dir(name))


def test_orders_complete_with_old_rows_and_a_long_queue(folder: Path) -> None:
    with PreloadedSystem(folder, ProgressReport(quiet=True), stopped=[STOPPED]) as system:
        asyncio.run(_complete_orders(system))


async def _complete_orders(system: PreloadedSystem) -> None:
    total = await system.fill_tables(ROWS, lambda *_: None)
    await system.fill_queue(MESSAGES, lambda _: None)
    assert await system.queue_depth() == MESSAGES
    assert total == await system.fetchval(
        "SELECT sum(reltuples)::bigint FROM pg_class WHERE relkind = 'r' AND reltuples >= 300"
        " AND relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema') AND relname <> 'stock'"
    )
    assert await system.completed_orders() == 0, "old orders are counted"
    done, accepted = await run_orders(system, orders=ORDERS, connections=2, seed=1)
    assert (done.orders, len(accepted)) == (ORDERS, ORDERS)
    assert STOPPED not in done.service_cpu
    assert await system.queue_depth() > MESSAGES, "no new message joined the queue"
    broken = [check for check in await system.check_invariants(accepted) if not check.held]
    assert broken == []
    assert await system.fetchval('SELECT count(*) FROM "order".orders') == ROWS + ORDERS


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("folder")
def test_the_command_compares_both_kinds_of_size(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "loadtest", "size", "--instance", INSTANCE, "--json", str(tmp_path / "size.json")]
    command += ["--rows", "2000", "--messages", "2000", "--pairs", "1", "--orders", "30", "--connections", "4"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=800, check=False)
    assert done.returncode in {0, 3}, done.stdout + done.stderr
    assert done.stdout.count("all, by pair:") == 2
    assert done.stdout.count("P5 CPU with 2,000") == 2
    assert (tmp_path / "size.json").stat().st_size > 1000
