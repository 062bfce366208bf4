"""Runs the probe and the raw loop in turn, each on fresh queues, and compares them.

The queues are filled first and measured while they are emptied: how fast messages can be put in plays no part.
"""

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import msgspec
from aiormq import spec

from devtools.paths import CHECKOUT
from devtools.processes.die_with_parent import die_with_parent
from loadtest import cores
from loadtest.bench import Bench
from loadtest.consumer import load
from loadtest.consumer.outcome import Outcome
from loadtest.consumer.tally import SCHEMA
from loadtest.errors import RunFailed
from loadtest.mark import Mark
from loadtest.result import read_result
from loadtest.samples import Summary, summary
from services.shared.contracts import CONTENT_TYPE

BOUND = 0.5
SIDES = ("ours", "raw")
WINDOW = 1000  # messages put into the queue between two waits for confirms
TIME_LIMIT = 300.0  # seconds for one round

OnRound = Callable[[int, str, Outcome], None]


class Side(msgspec.Struct, frozen=True):
    """All rounds of one side."""

    rate: Summary
    """Messages a second."""
    cpu_us: Summary
    """Microseconds of the process's CPU for one message."""
    rounds: list[Outcome]


class Comparison(msgspec.Struct, frozen=True):
    ours: Side
    raw: Side
    mark: Mark
    cpu_ratio: float
    """CPU of the raw loop for one message against ours: the same comparison, untouched by what the servers do."""
    broken: list[str]


class Rounds:
    """`messages` in each of `rounds` rounds of each side, on the bench's virtual host and database."""

    def __init__(self, bench: Bench, *, messages: int, rounds: int, seed: int, shape: str, profile: str = "") -> None:
        self._bench = bench
        self._messages = messages
        self._rounds = rounds
        self._chance = random.Random(seed)  # noqa: S311 - a load, not a secret
        self._shape = shape
        self._profile = profile
        self._core = cores.measured_core()
        self.profiles: dict[str, str] = {}

    async def run(self, on_round: OnRound) -> Comparison:
        """Raises RunFailed when a side does not finish. What is wrong with a finished round is in `broken`."""
        async with self._bench.owner() as owner:
            await owner.execute(SCHEMA)
        outcomes: dict[str, list[Outcome]] = {side: [] for side in SIDES}
        broken: list[str] = []
        for number in range(1, self._rounds + 1):
            # Whoever is second may find warmer servers: the first changes from round to round.
            for side in SIDES if number % 2 else SIDES[::-1]:
                await self._fill()
                outcome = await asyncio.to_thread(self._measure, side)
                outcomes[side].append(outcome)
                on_round(number, side, outcome)
                broken += [f"round {number}, {side}: {text}" for text in await self._wrong(side)]
        ours, raw = (_side(outcomes[side]) for side in SIDES)
        mark = Mark("P4", "messages/s of one consumer, against the raw loop", ours.rate.median / raw.rate.median, BOUND)
        return Comparison(ours, raw, mark, raw.cpu_us.median / ours.cpu_us.median, broken)

    async def _fill(self) -> None:
        async with self._bench.channel() as channel:
            for queue in ("probe.queue", "said.queue"):
                await channel.queue_purge(queue)
            user = self._bench.servers.broker.address.admin_username
            properties = spec.Basic.Properties(content_type=CONTENT_TYPE, delivery_mode=2, user_id=user)
            for start in range(0, self._messages, WINDOW):
                await asyncio.gather(
                    *(
                        self._put(channel, load.created(self._chance, user), properties)
                        for _ in range(min(WINDOW, self._messages - start))
                    )
                )
        async with self._bench.owner() as owner:
            await owner.execute("TRUNCATE inbox, outbox, sequences, failures, tallies")

    @staticmethod
    async def _put(channel: Any, body: bytes, properties: spec.Basic.Properties) -> None:
        await channel.basic_publish(
            body, exchange="order.exchange", routing_key="order.created", mandatory=True, properties=properties
        )

    def _measure(self, side: str) -> Outcome:
        module = "loadtest.consumer.probe" if side == "ours" else "loadtest.consumer.raw"
        command = [sys.executable, "-m", module, "--messages", str(self._messages)]
        command += ["--core", str(self._core)] if self._core is not None else []
        command += ["--shape", self._shape] if side == "raw" else []
        command += ["--profile"] if self._profile == side else []
        try:
            done = subprocess.run(
                die_with_parent(command),
                env=os.environ | self._bench.environment,
                cwd=CHECKOUT,
                capture_output=True,
                text=True,
                timeout=TIME_LIMIT,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise RunFailed(f"{side} did not finish {self._messages} messages in {TIME_LIMIT:.0f} s") from error
        outcome = read_result(side, done, Outcome)
        if self._profile == side:
            self.profiles[side] = done.stderr
        return outcome

    async def _wrong(self, side: str) -> list[str]:
        """What is not as a faultless round leaves it."""
        found: dict[str, int] = {}
        async with self._bench.channel() as channel:
            for queue in ("probe.queue", "probe.dlq", "said.queue"):
                found[queue] = (await channel.queue_declare(queue, passive=True)).message_count
        wanted = {"probe.queue": 0, "probe.dlq": 0, "said.queue": self._messages}
        if side == "ours":
            async with self._bench.owner() as owner:
                for table in ("inbox", "outbox", "sequences", "failures", "tallies"):
                    found[table] = await owner.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608 - constants
                found["events tallied"] = await owner.fetchval("SELECT coalesce(sum(events), 0) FROM tallies")
            wanted |= dict.fromkeys(("inbox", "sequences", "tallies", "events tallied"), self._messages)
            wanted |= {"outbox": 0, "failures": 0}
        return [f"{name} has {found[name]}, not {wanted[name]}" for name in wanted if found[name] != wanted[name]]


def _side(rounds: list[Outcome]) -> Side:
    return Side(
        summary([each.rate for each in rounds]),
        summary([each.cpu_us for each in rounds]),
        rounds,
    )
