"""`python -m loadtest baseline`: runs the three workers in turn, on a new virtual host and database."""

import asyncio
from pathlib import Path

import msgspec

from devtools.servers.servers import Servers
from loadtest import report
from loadtest.baseline.counts import TYPICAL, CountsPerOrder
from loadtest.baseline.row_kinds import ROW_KINDS
from loadtest.benchmark import InstanceName, Json, Orders, finish, private_servers
from loadtest.child import run_child
from loadtest.environment import BenchmarkEnv
from loadtest.results import Host
from warren.progress import ProgressReport

TOPOLOGY = Path(__file__).with_name("topology.yaml")
MAX_ORDERS = 2000
"""Orders that are measured at most: each costs the same."""
TIME_LIMIT = 600.0  # seconds for one worker


class Baseline(msgspec.Struct, frozen=True):
    """CPU seconds of the three workers for 1,000 orders."""

    publishing: float
    consuming: float
    inserting: float

    @property
    def per_thousand(self) -> float:
        return self.publishing + self.consuming + self.inserting


def baseline(*, orders: Orders = 1000, json: Json = None, instance: InstanceName = "loadtest") -> int:
    """Measure what the bare drivers need for the messages and rows of so many orders, and nothing else.

    No target by itself: `python -m loadtest orders` measures the same in one run with the system, with the numbers of
    messages and rows that it has counted. At most 2,000 orders are measured, as each costs the same.

    Example: python -m loadtest baseline --orders 2000
    """
    host, progress = Host.current(), ProgressReport()
    with private_servers(instance, progress) as servers, progress.step("Baseline"):
        result = asyncio.run(measure_baseline(servers, TYPICAL, orders))
    report.host(host)
    show_counts(TYPICAL)
    show_baseline(result)
    return finish(json, host=host, counts=TYPICAL, baseline=result)


async def measure_baseline(servers: Servers, counts: CountsPerOrder, orders: int) -> Baseline:
    """Raises RunFailed."""
    orders = min(orders, MAX_ORDERS)
    env = BenchmarkEnv(servers, "baseline", TOPOLOGY)

    def measure(work: str, *per_order: float) -> float:
        numbers = [round(count * orders) for count in per_order]
        seconds, _ = run_child(
            "loadtest.baseline.worker", work, *numbers, result=float, environment=env.environment, time_limit=TIME_LIMIT
        )
        return seconds / orders * 1000

    async with env.prepared():
        async with env.owner() as owner:
            for kind in ROW_KINDS:
                await owner.execute(kind.create)
        return Baseline(
            publishing=await asyncio.to_thread(measure, "publish", counts.published),
            consuming=await asyncio.to_thread(measure, "consume", counts.consumed),
            inserting=await asyncio.to_thread(measure, "insert", counts.ids, counts.events, counts.states),
        )


def show_counts(counts: CountsPerOrder) -> None:
    report.heading("Messages and rows of an order, on average")
    report.pairs({name: f"{value:.1f}" for name, value in msgspec.structs.asdict(counts).items()})


def show_baseline(result: Baseline, services: float | None = None) -> None:
    """Print CPU seconds; `services` are those of the system for as many orders."""
    report.heading("CPU seconds for 1,000 orders")
    figures = msgspec.structs.asdict(result) | {"baseline": result.per_thousand}
    if services is not None:
        figures["all services"] = services
    report.pairs({name: f"{value:.2f}" for name, value in figures.items()})
