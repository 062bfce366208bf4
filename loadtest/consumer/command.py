"""`python -m loadtest consumer`."""

import asyncio
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from cyclopts import Parameter

from devtools.servers.servers import Servers
from loadtest import cpu, report
from loadtest.benchmark import Count, InstanceName, Json, finish, private_servers
from loadtest.consumer.comparison import PROBE, RAW_LOOP, ConsumerComparison, ConsumerResult
from loadtest.consumer.round import RoundResult
from loadtest.environment import BenchmarkEnv
from loadtest.results import ExitCode, Host
from warren.progress import ProgressReport

TOPOLOGY = Path(__file__).with_name("topology.yaml")


def consumer(
    *,
    messages: Annotated[Count, Parameter(help="Messages in each round.")] = 20_000,
    rounds: Annotated[Count, Parameter(help="Rounds of each side.")] = 5,
    seed: Annotated[int, Parameter(help="Seed of the messages.")] = 1,
    shape: Annotated[Literal["rounds", "callbacks"], Parameter(help="How the raw loop is written.")] = "rounds",
    profile: Annotated[Literal["warren", "raw"] | None, Parameter(help="Profile this side.")] = None,
    json: Json = None,
    instance: InstanceName = "loadtest",
) -> int:
    """Target P4: one consumer with inbox, state, outbox and confirms, against the loop of a bare driver.

    Both run in turn as one process on one core, with broker and database on the others. A profiled side runs at about
    half its speed, so that no target is judged. Exit codes: 0 the target is met, 1 a message was lost or duplicated, or
    a side failed, 3 the target is missed.

    Examples:

        python -m loadtest consumer --messages 5000 --rounds 3 --json consumer.json

        python -m loadtest consumer --rounds 1 --profile warren
    """
    host = Host.current()

    async def run(servers: Servers) -> tuple[ConsumerResult, dict[str, str], dict[str, str]]:
        env = BenchmarkEnv(servers, "probe", TOPOLOGY)
        async with env.prepared():
            comparison = ConsumerComparison(
                env,
                {"warren": (PROBE, "handler"), "raw": (RAW_LOOP, shape)},
                messages=messages,
                rounds=rounds,
                seed=seed,
                profile=profile or "",
            )
            sides, broken = await comparison.run(on_round)
            result = ConsumerResult(sides["warren"], sides["raw"], broken)
            return result, comparison.profiles, await env.server_versions()

    def on_round(number: int, side: str, result: RoundResult) -> None:
        figures = f"{result.rate:8,.0f}/s {result.cpu_us:6.0f} µs CPU/message"
        report.progress(f"round {number}/{rounds} {side:<6} {figures}")

    with cpu.avoid_core(cpu.measured_core()), private_servers(instance, ProgressReport()) as servers:
        result, profiles, versions = asyncio.run(run(servers))
    report.host(host, servers=", ".join(f"{name} {text}" for name, text in versions.items()), seed=seed)
    report.heading(f"{rounds} rounds of {messages:,} messages")
    sides = {"warren": result.warren, "raw loop": result.raw}
    report.table(
        ["", "min", "median", "max messages/s", "min", "median", "max CPU µs/message"],
        [
            [name, *(f"{value:,.0f}" for each in (side.rate, side.cpu_us) for value in msgspec.structs.astuple(each))]
            for name, side in sides.items()
        ],
    )
    report.out.print(f"  CPU for each message, raw loop / warren: {result.cpu_ratio:.2f}")
    for text in profiles.values():
        report.heading("Profile")
        report.out.print(text, markup=False)
    code = finish(
        json,
        targets=[] if profile else [result.target],
        broken=result.broken,
        host=host,
        seed=seed,
        messages=messages,
        versions=versions,
        comparison=result,
        cpu_ratio=result.cpu_ratio,
    )
    return ExitCode.MET if profile else code
