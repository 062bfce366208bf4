"""`python -m loadtest effects`: what a circuit breaker and a rate limit add to the CPU of an effect."""

import asyncio
import statistics
from typing import Annotated

from cyclopts import Parameter

from devtools.servers.servers import Servers
from loadtest import cpu, report
from loadtest.benchmark import Count, InstanceName, Json, finish, private_servers
from loadtest.consumer.command import TOPOLOGY
from loadtest.consumer.comparison import PROBE, ConsumerComparison, SideResult
from loadtest.consumer.round import RoundResult
from loadtest.environment import BenchmarkEnv
from loadtest.results import Host
from warren.progress import ProgressReport

SIDES = {
    "effect": (PROBE, "effect"),
    "with breaker": (PROBE, "effect-breaker"),
    "with breaker and rate limit": (PROBE, "effect-breaker-limit"),
}


def effects(
    *,
    messages: Annotated[Count, Parameter(help="Messages in each round.")] = 20_000,
    rounds: Annotated[Count, Parameter(help="Rounds of each side.")] = 5,
    seed: Annotated[int, Parameter(help="Seed of the messages.")] = 1,
    json: Json = None,
    instance: InstanceName = "loadtest",
) -> int:
    """CPU of the consumer for an effect without options, with a circuit breaker, and with a rate limit beside it.

    The calls return at once, the breaker stays closed, and the limit is never reached. Exit codes: 0, or 1 if a message
    was lost or duplicated, or a side failed.

    Examples:

        python -m loadtest effects --messages 5000 --rounds 3
    """
    host = Host.current()

    async def run(servers: Servers) -> tuple[dict[str, SideResult], list[str]]:
        env = BenchmarkEnv(servers, "probe", TOPOLOGY)
        async with env.prepared():
            return await ConsumerComparison(env, SIDES, messages=messages, rounds=rounds, seed=seed).run(on_round)

    def on_round(number: int, side: str, result: RoundResult) -> None:
        report.progress(f"round {number}/{rounds} {side:<27} {result.cpu_us:6.0f} µs CPU/message")

    with cpu.avoid_core(cpu.measured_core()), private_servers(instance, ProgressReport()) as servers:
        sides, broken = asyncio.run(run(servers))
    report.host(host, seed=seed)
    report.heading(f"{rounds} rounds of {messages:,} messages")
    report.table(
        ["", "min", "median", "max CPU µs/message", "against an effect, round by round"],
        [
            [
                name,
                *(f"{value:,.1f}" for value in (side.cpu_us.min, side.cpu_us.median, side.cpu_us.max)),
                f"{_ratio(side, sides['effect']):.2f}",
            ]
            for name, side in sides.items()
        ],
    )
    return finish(json, broken=broken, host=host, seed=seed, messages=messages, sides=sides)


def _ratio(side: SideResult, plain: SideResult) -> float:
    """The median of the ratios within each round, since the speed of the machine changes between rounds."""
    return statistics.median(a.cpu_us / b.cpu_us for a, b in zip(side.rounds, plain.rounds, strict=True))
