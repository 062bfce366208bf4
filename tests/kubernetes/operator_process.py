"""The operator as a process of its own, with settings from the environment, as a container runs it."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

ROOT = Path(__file__).parents[2]
START_SECONDS = 60.0
QUIET_SECONDS = 2.5
"""Enough if the broker counts twice a second (fixture `quick_counts`)."""
WITHOUT_USER_NAME = """\
import getpass, runpy
def getuser():
    raise OSError("No username set in the environment")
getpass.getuser = getuser
runpy.run_module("topology_operator", run_name="__main__", alter_sys=True)
"""
"""In a container the user has a number and no name."""


class OperatorProcess:
    """Its log is a file of JSON lines."""

    def __init__(self, kubeconfig: Path, folder: Path, **settings: str) -> None:
        self._log = folder / f"operator-{len(list(folder.glob('operator-*')))}.log"
        settings = {
            "metrics_port": "0",
            "metrics_host": "127.0.0.1",
            "retry_seconds": "0.2",
            "retry_max_seconds": "1",
            "quiet_seconds": str(QUIET_SECONDS),
            "log_level": "debug",
        } | settings
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("TOPOLOGY_", "KUBE"))}
        self._environment = {
            **inherited,
            "KUBECONFIG": str(kubeconfig),
            "PYTHONPATH": f"{ROOT}:{ROOT / 'operator'}",
            **{f"TOPOLOGY_OPERATOR_{key.upper()}": value for key, value in settings.items()},
        }

    async def start(self) -> None:
        """Returns when the process watches Topologies."""
        with self._log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-c", WITHOUT_USER_NAME),
                env=self._environment,
                cwd=ROOT,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        async with asyncio.timeout(START_SECONDS):
            while not self.logged("watching topologies"):
                if self._process.returncode is not None:
                    raise AssertionError(f"the operator ended:\n{self.log}")
                await asyncio.sleep(0.05)

    async def stop(self) -> int:
        """Sends SIGTERM and returns the exit code."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self._process.wait(), START_SECONDS)

    async def kill(self) -> None:
        self.send_kill()
        await self._process.wait()

    def send_kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()

    async def restart(self) -> None:
        """Kills the process first."""
        await self.kill()
        await self.start()

    @property
    def log(self) -> str:
        return self._log.read_text()

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Returns every log line with this event, also those of processes before a restart."""
        complete = self.log.rpartition("\n")[0]  # the process may be writing the last line
        lines = [json.loads(line) for line in complete.splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("event") == event]

    async def metric(self, series: str) -> float | None:
        """Returns the value of one series, which is written as in Prometheus's text format."""
        for line in (await self.http_get("/metrics"))[1].splitlines():
            name, _, value = line.rpartition(" ")
            if name == series:
                return float(value)
        return None

    async def http_get(self, path: str) -> tuple[int, str]:
        port = self.logged("started")[-1]["metrics_port"]
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as response:
            return response.status, await response.text()


@asynccontextmanager
async def running_operator(kubeconfig: Path, folder: Path, **settings: str) -> AsyncIterator[OperatorProcess]:
    """Kills the process at the end."""
    operator = OperatorProcess(kubeconfig, folder, **settings)
    await operator.start()
    try:
        yield operator
    finally:
        await operator.kill()
