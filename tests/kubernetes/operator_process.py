"""The operator as a process of its own, as a container would run it: settings from the environment, killed at will."""

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
"""Enough where the broker counts twice a second (fixture `quick_counts`)."""
NAMELESS = """\
import getpass, runpy
def nobody():
    raise OSError("No username set in the environment")
getpass.getuser = nobody
runpy.run_module("topology_operator", run_name="__main__", alter_sys=True)
"""
"""In a container its user is a number that no file gives a name."""


class OperatorProcess:
    """One process. Its log is a file of JSON lines."""

    def __init__(self, kubeconfig: Path, folder: Path, **settings: str) -> None:
        self._log = folder / f"operator-{len(list(folder.glob('operator-*')))}.log"
        self._environment = {
            key: value for key, value in os.environ.items() if not key.startswith(("TOPOLOGY_OPERATOR_", "KUBE"))
        } | {
            "KUBECONFIG": str(kubeconfig),
            "PYTHONPATH": f"{ROOT}:{ROOT / 'operator'}",
            "TOPOLOGY_OPERATOR_METRICS_PORT": "0",
            "TOPOLOGY_OPERATOR_METRICS_HOST": "127.0.0.1",
            "TOPOLOGY_OPERATOR_RETRY_SECONDS": "0.2",
            "TOPOLOGY_OPERATOR_RETRY_MAX_SECONDS": "1",
            "TOPOLOGY_OPERATOR_QUIET_SECONDS": str(QUIET_SECONDS),
            "TOPOLOGY_OPERATOR_LOG_LEVEL": "debug",
            **{f"TOPOLOGY_OPERATOR_{key.upper()}": value for key, value in settings.items()},
        }
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Returns once it watches."""
        with self._log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-c", NAMELESS),
                env=self._environment,
                cwd=ROOT,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        async with asyncio.timeout(START_SECONDS):
            while not self.told("watching topologies"):
                if self._process.returncode is not None:
                    raise AssertionError(f"the operator ended:\n{self.log}")
                await asyncio.sleep(0.05)

    async def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self._process.wait(), START_SECONDS)

    async def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    def end_at_once(self) -> None:
        """SIGKILL, without waiting for it to take effect."""
        assert self._process is not None
        self._process.kill()

    @property
    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def told(self, event: str) -> list[dict[str, Any]]:
        """Every line of the log with this text, of any process that wrote it."""
        lines = [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("event") == event]

    async def metric(self, series: str) -> float | None:
        """The value of one series, written as Prometheus does."""
        for line in (await self.answer("/metrics"))[1].splitlines():
            name, _, value = line.rpartition(" ")
            if name == series:
                return float(value)
        return None

    async def answer(self, path: str) -> tuple[int, str]:
        port = self.told("started")[-1]["metrics_port"]
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
            return answer.status, await answer.text()


@asynccontextmanager
async def operating(kubeconfig: Path, folder: Path, **settings: str) -> AsyncIterator[OperatorProcess]:
    """A running operator, killed in the end whatever happens."""
    operator = OperatorProcess(kubeconfig, folder, **settings)
    await operator.start()
    try:
        yield operator
    finally:
        await operator.kill()
