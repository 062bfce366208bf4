"""`python -m loadtest consumer`."""

import asyncio
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import Parameter

from devtools.local.instance import Instance
from devtools.servers.servers import Servers
from loadtest import cores, machine, report
from loadtest.bench import Bench
from loadtest.consumer.outcome import Outcome
from loadtest.consumer.rounds import Comparison, Rounds, Side
from loadtest.mark import Exit, exit_code
from loadtest.options import Count, InstanceName, Json
from warren.progress import ConsoleProgress

TOPOLOGY = Path(__file__).with_name("topology.yaml")


class Result(msgspec.Struct, frozen=True):
    machine: machine.Machine
    seed: int
    messages: int
    versions: dict[str, str]
    comparison: Comparison


def consumer(
    *,
    messages: Annotated[Count, Parameter(help="Messages in each round.")] = 20_000,
    rounds: Annotated[Count, Parameter(help="Rounds of each side.")] = 5,
    seed: Annotated[int, Parameter(help="Of the messages' content.")] = 1,
    shape: Annotated[Literal["rounds", "callbacks"], Parameter(help="How the raw loop is written.")] = "rounds",
    profile: Annotated[Literal["ours", "raw"] | None, Parameter(help="Show where this side's time goes.")] = None,
    json: Json = None,
    instance: InstanceName = "loadtest",
) -> int:
    """Mark P4: one consumer with inbox, state, outbox and confirms, against the bare driver's loop.

    Both run in turn as one process on one core, with broker and database on the others. A profiled side runs about
    half as fast, so no mark is judged then. Exit codes: 0 the mark is met, 1 a message was lost or doubled, or a side
    failed, 3 the mark is missed.

    Examples:

        python -m loadtest consumer

        python -m loadtest consumer --messages 5000 --rounds 3 --json consumer.json

        python -m loadtest consumer --rounds 1 --profile ours
    """
    facts = machine.facts()
    with (
        Instance(instance) as held,
        cores.leaving(cores.measured_core()),
        Servers(held.dir, report=ConsoleProgress(), fresh=True) as servers,
    ):
        held.record({}, servers.pids)
        comparison, versions, profiles = asyncio.run(_run(servers, messages, rounds, seed, shape, profile))
    report.machine(facts, servers=", ".join(f"{name} {text}" for name, text in versions.items()), seed=seed)
    report.heading(f"{rounds} rounds of {messages:,} messages")
    report.table(
        ["", "min", "median", "max messages/s", "min", "median", "max CPU µs/message"],
        [_row("ours", comparison.ours), _row("raw loop", comparison.raw)],
    )
    report.out.print(f"  the raw loop's CPU for a message is {comparison.cpu_ratio:.2f} of ours")
    for text in profiles.values():
        report.heading("Profile")
        report.out.print(text, markup=False)
    marks = [] if profile else [comparison.mark]
    report.marks(marks, comparison.broken)
    report.write_json(json, Result(facts, seed, messages, versions, comparison))
    return exit_code(marks, comparison.broken) if not profile else Exit.MET


async def _run(
    servers: Servers, messages: int, rounds: int, seed: int, shape: str, profile: str | None
) -> tuple[Comparison, dict[str, str], dict[str, str]]:
    bench = Bench(servers, "probe", TOPOLOGY)

    def on_round(number: int, side: str, outcome: Outcome) -> None:
        report.progress(
            f"round {number}/{rounds} {side:<4} {outcome.rate:8,.0f}/s {outcome.cpu_us:6.0f} µs CPU/message"
        )

    async with bench.laid_out():
        run = Rounds(bench, messages=messages, rounds=rounds, seed=seed, shape=shape, profile=profile or "")
        return await run.run(on_round), await bench.versions(), run.profiles


def _row(name: str, side: Side) -> list[str]:
    figures: list[Any] = [side.rate.least, side.rate.median, side.rate.most]
    figures += [side.cpu_us.least, side.cpu_us.median, side.cpu_us.most]
    return [name, *(f"{figure:,.0f}" for figure in figures)]
