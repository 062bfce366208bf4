"""Runs the three parts, one after another, on a fresh virtual host and database."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import msgspec

from devtools.paths import CHECKOUT
from devtools.processes.die_with_parent import die_with_parent
from devtools.servers.servers import Servers
from loadtest.bench import Bench
from loadtest.errors import RunFailed
from loadtest.floor.quantities import Quantities
from loadtest.floor.rows import KINDS

TOPOLOGY = Path(__file__).with_name("topology.yaml")
ENOUGH = 2000
"""Orders that are measured at most: each part costs the same for every one of them."""


class Floor(msgspec.Struct, frozen=True):
    """CPU seconds of the three processes for 1,000 orders."""

    publishing: float
    consuming: float
    inserting: float

    @property
    def per_thousand(self) -> float:
        return self.publishing + self.consuming + self.inserting


async def measure(servers: Servers, quantities: Quantities, orders: int) -> Floor:
    """Raises RunFailed."""
    orders = min(orders, ENOUGH)
    bench = Bench(servers, "floor", TOPOLOGY)

    async def part(name: str, *counts: float) -> float:
        return await asyncio.to_thread(_part, bench, name, [round(count * orders) for count in counts]) / orders * 1000

    async with bench.laid_out():
        async with bench.owner() as owner:
            for kind in KINDS:
                await owner.execute(kind.create)
        return Floor(
            publishing=await part("publish", quantities.published),
            consuming=await part("consume", quantities.consumed),
            inserting=await part("insert", quantities.marks, quantities.events, quantities.states),
        )


def _part(bench: Bench, name: str, counts: list[int]) -> float:
    done = subprocess.run(
        die_with_parent([sys.executable, "-m", "loadtest.floor.part", name, *map(str, counts)]),
        env=os.environ | bench.environment,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode:
        raise RunFailed(f"the floor's {name} ended with exit code {done.returncode}:\n{done.stderr}")
    return float(done.stdout)
