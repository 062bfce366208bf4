"""Runs several sides in turn, such as the probe and the raw loop, each on new queues.

The queues are filled before the measurement, so that the speed of the publisher has no influence.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from functools import partial

import msgspec
from aiormq import spec

from loadtest import cpu
from loadtest.child import run_child
from loadtest.consumer import events
from loadtest.consumer.probe import SCHEMA
from loadtest.consumer.round import RoundResult
from loadtest.environment import BenchmarkEnv
from loadtest.results import Summary, Target
from services.shared.contracts import CONTENT_TYPE

MIN_RATIO = 0.5
PROBE, RAW_LOOP = "loadtest.consumer.probe", "loadtest.consumer.raw_loop"
"""The programs of a round."""
WINDOW = 1000  # messages that share a wait for confirms
TIME_LIMIT = 300.0  # seconds for one round

OnRound = Callable[[int, str, RoundResult], None]


class SideResult(msgspec.Struct, frozen=True):
    rate: Summary
    """Messages a second."""
    cpu_us: Summary
    """Microseconds of the process's CPU for each message."""
    rounds: list[RoundResult]

    @classmethod
    def of(cls, rounds: list[RoundResult]) -> "SideResult":
        return cls(Summary.of([each.rate for each in rounds]), Summary.of([each.cpu_us for each in rounds]), rounds)


class ConsumerResult(msgspec.Struct, frozen=True):
    warren: SideResult
    raw: SideResult
    broken: list[str]
    """Messages that finished rounds lost or duplicated."""

    @property
    def target(self) -> Target:
        ratio = self.warren.rate.median / self.raw.rate.median
        return Target("P4", "messages/s of one consumer, against the raw loop", ratio, MIN_RATIO)

    @property
    def cpu_ratio(self) -> float:
        """CPU for each message of the raw loop against the library: not affected by the speed of the servers."""
        return self.raw.cpu_us.median / self.warren.cpu_us.median


class ConsumerComparison:
    """`messages` in each of `rounds` rounds of each side. `profile` names a side to run under a profiler.

    `sides` maps the name of each side to its program and the program's `--shape`.
    """

    def __init__(
        self,
        env: BenchmarkEnv,
        sides: Mapping[str, tuple[str, str]],
        *,
        messages: int,
        rounds: int,
        seed: int,
        profile: str = "",
    ) -> None:
        self._env = env
        self._messages = messages
        self._rounds = rounds
        self._rng = random.Random(seed)  # noqa: S311 - not a secret
        self._sides = sides
        self._profile = profile
        self._core = cpu.measured_core()
        self.profiles: dict[str, str] = {}

    async def run(self, on_round: OnRound) -> tuple[dict[str, SideResult], list[str]]:
        """Return the result of each side, and the messages that finished rounds lost or duplicated.

        Raises RunFailed when a side does not finish.
        """
        async with self._env.owner() as owner:
            await owner.execute(SCHEMA)
        results: dict[str, list[RoundResult]] = {side: [] for side in self._sides}
        broken: list[str] = []
        order = list(self._sides)
        for number in range(1, self._rounds + 1):
            # A later side of a round finds warmer servers, so the order alternates.
            for side in order if number % 2 else reversed(order):
                await self._fill()
                result = await asyncio.to_thread(self._measure, side)
                results[side].append(result)
                on_round(number, side, result)
                broken += [f"round {number}, {side}: {text}" for text in await self._differences(side)]
        return {side: SideResult.of(rounds) for side, rounds in results.items()}, broken

    async def _fill(self) -> None:
        async with self._env.channel() as channel:
            for queue in ("probe.queue", "published.queue"):
                await channel.queue_purge(queue)
            user = self._env.servers.broker.endpoints.admin_username
            properties = spec.Basic.Properties(content_type=CONTENT_TYPE, delivery_mode=2, user_id=user)
            put = partial(channel.basic_publish, exchange="order.exchange", routing_key="order.created")
            for start in range(0, self._messages, WINDOW):
                bodies = [events.created(self._rng, user) for _ in range(min(WINDOW, self._messages - start))]
                await asyncio.gather(*(put(body, mandatory=True, properties=properties) for body in bodies))
        async with self._env.owner() as owner:
            await owner.execute("TRUNCATE inbox, outbox, sequences, failures, tallies")

    def _measure(self, side: str) -> RoundResult:
        arguments: list[object] = ["--messages", self._messages]
        arguments += ["--core", self._core] if self._core is not None else []
        program, shape = self._sides[side]
        arguments += ["--shape", shape]
        arguments += ["--profile"] if self._profile == side else []
        result, errors = run_child(
            program, *arguments, result=RoundResult, environment=self._env.environment, time_limit=TIME_LIMIT
        )
        if self._profile == side:
            self.profiles[side] = errors
        return result

    async def _differences(self, side: str) -> list[str]:
        """Compare queues and tables with those after a round that loses and duplicates nothing."""
        found: dict[str, int] = {}
        async with self._env.channel() as channel:
            for queue in ("probe.queue", "probe.dlq", "published.queue"):
                found[queue] = (await channel.queue_declare(queue, passive=True)).message_count
        wanted = {"probe.queue": 0, "probe.dlq": 0, "published.queue": self._messages}
        if self._sides[side][0] == PROBE:
            async with self._env.owner() as owner:
                for table in ("inbox", "outbox", "sequences", "failures", "tallies"):
                    found[table] = await owner.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608 - constants
                found["events tallied"] = await owner.fetchval("SELECT coalesce(sum(events), 0) FROM tallies")
            wanted |= dict.fromkeys(("inbox", "sequences", "tallies", "events tallied"), self._messages)
            wanted |= {"outbox": 0, "failures": 0}
        return [f"{name} has {found[name]}, not {wanted[name]}" for name in wanted if found[name] != wanted[name]]
