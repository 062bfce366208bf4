"""One measured course: N orders through a flow, from the first 202 until nothing moves any more."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping
from typing import Protocol
from uuid import UUID

import msgspec

from devtools.invariants import Check
from devtools.paths import CHECKOUT
from devtools.processes.die_with_parent import die_with_parent
from devtools.servers.servers import Servers
from loadtest import cpu
from loadtest.errors import RunFailed
from loadtest.orders.generator import Placed
from loadtest.result import read_result

POLL_SECONDS = 0.5
STANDSTILL_SECONDS = 60.0
"""Without any progress for this long the run has failed."""


class Flow(Protocol):
    """A way to complete orders: ours, or the plain one."""

    @property
    def servers(self) -> Servers:
        """Broker and database that it uses."""

    @property
    def url(self) -> str:
        """Where orders are placed."""

    @property
    def pids(self) -> Mapping[str, int]:
        """Its service processes."""

    def check(self) -> None:
        """Raises LocalError when one of them has ended."""

    async def completed(self) -> int:
        """How many orders are."""

    async def last_completed_at(self) -> float:
        """Unix time at which the last one became it, by the database's clock, which is this machine's."""

    async def at_rest(self) -> bool:
        """Whether nothing is left to do: no message waits, no outbox holds any."""

    async def judge(self, accepted: Collection[UUID]) -> list[Check]:
        """What must hold once it is at rest."""


class Course(msgspec.Struct, frozen=True):
    """What N completed orders took."""

    orders: int
    seconds: float
    """From the first 202 to the last COMPLETED."""
    placing_seconds: float
    """From the first 202 to the last one."""
    service_cpu: dict[str, float]
    """Seconds by service process, until everything was at rest."""
    server_cpu: dict[str, float | None]
    generator_cpu: float
    put_off: int

    @property
    def rate(self) -> float:
        """Completed orders a second."""
        return self.orders / self.seconds

    @property
    def services_per_thousand(self) -> float:
        """CPU seconds of all service processes for 1,000 orders."""
        return sum(self.service_cpu.values()) / self.orders * 1000


async def run(
    flow: Flow, *, orders: int, connections: int, seed: int, on_progress: Callable[[float], None]
) -> tuple[Course, Placed]:
    """Raises RunFailed when orders stop moving, LocalError when a process ends."""
    before, servers_before = _services(flow), _servers(flow.servers)
    already = await flow.completed()
    placing = asyncio.create_task(asyncio.to_thread(_place, flow.url, orders, connections, seed))
    done, moved_at = 0, time.monotonic()
    while done < orders:
        await asyncio.sleep(POLL_SECONDS)
        flow.check()
        if placing.done():
            placing.result()
        now = await flow.completed() - already
        if now > done:
            done, moved_at = now, time.monotonic()
        elif time.monotonic() - moved_at > STANDSTILL_SECONDS:
            raise RunFailed(f"no order was completed for {STANDSTILL_SECONDS:.0f} s; {done} of {orders} are")
        on_progress(done / orders)
    placed = await placing
    while not await flow.at_rest():
        if time.monotonic() - moved_at > STANDSTILL_SECONDS:
            break  # what is left over is for the checks to name
        await asyncio.sleep(POLL_SECONDS)
    services, servers = _services(flow), _servers(flow.servers)
    return Course(
        orders=orders,
        seconds=await flow.last_completed_at() - placed.first_at,
        placing_seconds=placed.last_at - placed.first_at,
        service_cpu={name: round(services[name] - before[name], 2) for name in services},
        server_cpu={name: _difference(servers[name], servers_before[name]) for name in servers},
        generator_cpu=placed.cpu_seconds,
        put_off=placed.put_off,
    ), placed


def _place(url: str, orders: int, connections: int, seed: int) -> Placed:
    command = [sys.executable, "-m", "loadtest.orders.generator", url, "--orders", str(orders)]
    command += ["--connections", str(connections), "--seed", str(seed)]
    done = subprocess.run(die_with_parent(command), cwd=CHECKOUT, capture_output=True, text=True, check=False)
    return read_result("the load generator", done, Placed)


def _services(flow: Flow) -> dict[str, float]:
    return {name: cpu.of_process(pid) for name, pid in flow.pids.items()}


def _servers(servers: Servers) -> dict[str, float | None]:
    return {name: cpu.of_server(name, pid) for name, pid in servers.pids.items()}


def _difference(after: float | None, before: float | None) -> float | None:
    return None if after is None or before is None else round(after - before, 2)
