"""A system with a past and a queue that waits works as an empty one, and its invariants hold over old and new."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools.paths import CHECKOUT, instance_dir
from loadtest.orders import course
from loadtest.size.sized import Sized
from tests.servers import remove_instance
from warren.progress import SilentProgress

INSTANCE = f"test-size-{os.getpid()}"
ROWS, MESSAGES, ORDERS = 300, 1500, 10


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = instance_dir(INSTANCE)
    yield folder
    for name in (INSTANCE, f"{INSTANCE}-empty", f"{INSTANCE}-full"):
        remove_instance(instance_dir(name))


def test_orders_go_through_beside_a_long_past_and_a_long_queue(folder: Path) -> None:
    with Sized(folder, SilentProgress(), away="email") as sized:
        asyncio.run(_through(sized))


async def _through(sized: Sized) -> None:
    total = await sized.past(ROWS, lambda *_: None)
    await sized.wait(MESSAGES, lambda _: None)
    assert await sized.waiting() == MESSAGES
    assert total == await sized.fetchval(
        "SELECT sum(reltuples)::bigint FROM pg_class WHERE relkind = 'r' AND reltuples >= 300"
        " AND relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema') AND relname <> 'stock'"
    )
    assert await sized.completed() == 0, "the past is not counted"
    done, placed = await course.run(sized, orders=ORDERS, connections=2, seed=1, on_progress=lambda _: None)
    assert (done.orders, len(placed.accepted)) == (ORDERS, ORDERS)
    assert "email" not in done.service_cpu
    assert await sized.waiting() > MESSAGES, "new ones join those that wait"
    broken = [check for check in await sized.judge(placed.accepted) if not check.held]
    assert broken == []
    assert await sized.fetchval('SELECT count(*) FROM "order".orders') == ROWS + ORDERS


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
