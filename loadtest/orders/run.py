"""One measured run: N orders through a system, from the first 202 until the system is idle."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from typing import Protocol
from uuid import UUID

import msgspec

from devtools.invariants import Check
from devtools.servers.servers import Servers
from loadtest import cpu, report
from loadtest.child import RunFailed, run_child
from loadtest.orders.generator import PlacedOrders

POLL_SECONDS = 0.5
STALL_SECONDS = 60.0
"""A run without progress for so long has failed."""


class OrderSystem(Protocol):
    """A system that completes orders: Warren, or the plain implementation."""

    @property
    def servers(self) -> Servers:
        """Its broker and database."""

    @property
    def url(self) -> str:
        """Base URL of the order API."""

    @property
    def pids(self) -> Mapping[str, int]:
        """Its service processes."""

    def check_processes(self) -> None:
        """Raise LocalError when one of them has ended."""

    async def completed_orders(self) -> int: ...

    async def last_completed_at(self) -> float:
        """Unix time by the clock of the database, which is this machine's."""

    async def is_idle(self) -> bool:
        """Whether no message waits and every outbox is empty."""

    async def check_invariants(self, accepted: Collection[UUID]) -> list[Check]:
        """Check an idle system; `accepted` are the orders that were answered with 202."""


class OrderRun(msgspec.Struct, frozen=True):
    """The cost of N completed orders."""

    orders: int
    seconds: float
    """Time from the first response 202 to the last COMPLETED order."""
    placing_seconds: float
    """Time from the first response 202 to the last one."""
    service_cpu: dict[str, float]
    """Seconds by service process, until the system was idle."""
    server_cpu: dict[str, float | None]
    """None for a server that cannot be measured."""
    generator_cpu: float
    unavailable: int
    """Responses with 503."""

    @property
    def rate(self) -> float:
        """Completed orders a second."""
        return self.orders / self.seconds

    @property
    def services_per_thousand(self) -> float:
        """CPU seconds of all service processes for 1,000 orders."""
        return sum(self.service_cpu.values()) / self.orders * 1000

    @property
    def per_thousand(self) -> float:
        """CPU seconds of services and measured servers for 1,000 orders."""
        servers = sum(used for used in self.server_cpu.values() if used is not None)
        return self.services_per_thousand + servers / self.orders * 1000

    def show(self, name: str = "Orders") -> None:
        rate = f"[green]{self.rate:.0f}[/green] a second"
        report.heading(f"{name}: {self.orders:,} completed in {self.seconds:.1f} s, {rate}")
        report.out.print(f"  placed within {self.placing_seconds:.1f} s; {self.unavailable} responses with 503")
        used: dict[str, float | None] = {**self.service_cpu, "all services": sum(self.service_cpu.values())}
        used |= {**self.server_cpu, "load generator": self.generator_cpu}
        report.table(
            ["CPU", "seconds", "for 1,000 orders"],
            [
                [part, *(("not measured", "") if each is None else (f"{each:.1f}", f"{each / self.orders * 1000:.2f}"))]
                for part, each in used.items()
            ],
        )


async def run_orders(
    system: OrderSystem,
    *,
    orders: int,
    connections: int,
    seed: int,
    on_progress: Callable[[float], None] = lambda _: None,
) -> tuple[OrderRun, list[UUID]]:
    """Returns the accepted orders too. Raises RunFailed when orders stall, LocalError when a process ends."""
    services_before, servers_before = _cpu(system)
    completed_before = await system.completed_orders()
    placing = asyncio.create_task(asyncio.to_thread(_place, system.url, orders, connections, seed))
    done, moved_at = 0, time.monotonic()
    while done < orders:
        await asyncio.sleep(POLL_SECONDS)
        system.check_processes()
        if placing.done():
            placing.result()
        now = await system.completed_orders() - completed_before
        if now > done:
            done, moved_at = now, time.monotonic()
        elif time.monotonic() - moved_at > STALL_SECONDS:
            raise RunFailed(f"no order was completed for {STALL_SECONDS:.0f} s; {done} of {orders} are")
        on_progress(done / orders)
    placed = await placing
    while not await system.is_idle():
        if time.monotonic() - moved_at > STALL_SECONDS:
            break  # the invariants show what is left over
        await asyncio.sleep(POLL_SECONDS)
    services, servers = _cpu(system)
    return OrderRun(
        orders=orders,
        seconds=await system.last_completed_at() - placed.first_at,
        placing_seconds=placed.last_at - placed.first_at,
        service_cpu={name: round(services[name] - services_before[name], 2) for name in services},
        server_cpu={name: _difference(servers[name], servers_before[name]) for name in servers},
        generator_cpu=placed.cpu_seconds,
        unavailable=placed.unavailable,
    ), placed.accepted


def _place(url: str, orders: int, connections: int, seed: int) -> PlacedOrders:
    options = ["--orders", orders, "--connections", connections, "--seed", seed]
    placed, _ = run_child("loadtest.orders.generator", url, *options, result=PlacedOrders)
    return placed


def _cpu(system: OrderSystem) -> tuple[dict[str, float], dict[str, float | None]]:
    """CPU seconds so far, of service processes and of servers."""
    services = {name: cpu.of_process(pid) for name, pid in system.pids.items()}
    return services, {name: cpu.of_server(name, pid) for name, pid in system.servers.pids.items()}


def _difference(after: float | None, before: float | None) -> float | None:
    return None if after is None or before is None else round(after - before, 2)
