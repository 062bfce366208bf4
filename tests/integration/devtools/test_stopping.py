"""`warren up` ends at any moment without a remaining process, lock or state file, and the next start succeeds."""

import asyncio
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from devtools.local.instance import Instance
from devtools.servers.servers import Servers

UP = """
import signal, sys, time
from pathlib import Path
from devtools.errors import LocalError
from devtools.local.instance import Instance
from devtools.processes.supervisor import ProcessSpec, Supervisor
from devtools.servers.servers import Servers
from devtools.processes.supervisor import sigterm_as_interrupt

folder = Path(sys.argv[1])
signal.signal(signal.SIGINT, signal.default_int_handler)  # as on a terminal, also when the tests run in the background
print("begun", flush=True)
try:
    with sigterm_as_interrupt(), Instance("up", folder=folder) as instance, Servers(folder) as servers:
        with Supervisor(folder / "logs") as supervisor:
            supervisor.start(ProcessSpec("service", [sys.executable, "-c", "import time; time.sleep(99)", str(folder)]))
            instance.record({"orders": "http://127.0.0.1:8080"}, {**servers.pids, **supervisor.pids})
            print("up", flush=True)
            supervisor.wait()
except KeyboardInterrupt:
    print("stopped", flush=True)
"""


@contextmanager
def up(folder: Path, wait_for: str = "up") -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-c", UP, str(folder)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            while process.stdout.readline().strip() != wait_for:
                assert process.poll() is None
            yield process
        finally:
            process.kill()


def test_sigterm_stops_everything_cleanly(tmp_path: Path, processes: Callable[[], list[int]]) -> None:
    with up(tmp_path) as process:
        assert len(processes()) >= 2
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
        assert time.monotonic() - started < 10
    assert processes() == []
    assert not (tmp_path / "state.json").exists()
    assert Instance("up", folder=tmp_path).state is None


@pytest.mark.parametrize("delay", [0.3, 1.2], ids=["while-preparing", "while-starting"])
def test_ctrl_c_ends_a_start_within_seconds(tmp_path: Path, processes: Callable[[], list[int]], delay: float) -> None:
    with up(tmp_path, "begun") as process:
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 0
        assert process.stdout is not None
        assert process.stdout.read() == "stopped\n"
    assert processes() == []
    assert not (tmp_path / "state.json").exists()


def test_a_start_after_sigkill_succeeds(tmp_path: Path, processes: Callable[[], list[int]]) -> None:
    with up(tmp_path) as process:
        process.kill()
    assert (tmp_path / "state.json").exists()
    with up(tmp_path):
        assert Instance("up", folder=tmp_path).stop()
    assert processes() == []
    assert not (tmp_path / "state.json").exists()


def test_a_deleted_folder_is_a_new_instance(tmp_path: Path) -> None:
    folder = tmp_path / "instance"
    with Servers(folder) as servers:
        first = servers.postgres.endpoint.admin_password
    shutil.rmtree(folder)
    with Servers(folder) as servers:
        assert servers.postgres.endpoint.admin_password != first
        assert asyncio.run(query(servers, "SELECT 1")) == 1
        assert "admin" in servers.broker.rabbitmqctl(
            "authenticate_user", "admin", servers.broker.endpoints.admin_password
        )


async def query(servers: Servers, sql: str) -> object:
    async with servers.postgres.endpoint.connection() as connection:
        return await connection.fetchval(sql)
