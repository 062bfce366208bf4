"""Connections that are reset, refused, half-open, slow, or lose one response."""

import random
from collections.abc import Callable

from faults import frames
from faults.chaos.environment import ChaosEnvironment
from faults.chaos.fault_kinds import ALL_PROCESSES
from faults.chaos.injections.registry import hold, injects, wait_for
from faults.chaos.plan import PlannedFault
from faults.frames import FrameMatcher
from faults.harness import BROKER, DATABASE
from faults.proxy import BOTH, Direction, FaultProxy

OnProxy = Callable[[FaultProxy], None]
DIRECTIONS = (BOTH, frozenset({Direction.TO_SERVER}), frozenset({Direction.FROM_SERVER}))


def _one_or_both(env: ChaosEnvironment, fault: PlannedFault, rng: random.Random) -> list[FaultProxy]:
    both = env.proxies_of(fault.target)
    return rng.choice((both, both[:1], both[1:]))


@injects("connections reset")
def reset(env: ChaosEnvironment, fault: PlannedFault, rng: random.Random) -> None:
    for proxy in _one_or_both(env, fault, rng):
        proxy.cut()
        env.pause(fault.seconds)


@injects("connections refused")
def refuse(env: ChaosEnvironment, fault: PlannedFault, rng: random.Random) -> None:
    _hold_all(env, fault, _one_or_both(env, fault, rng), FaultProxy.refuse)


@injects("half-open broker connection")
def half_open_broker(env: ChaosEnvironment, fault: PlannedFault, rng: random.Random) -> None:
    _black_hole(env, fault, rng, [env.proxy_of(fault.target, BROKER)])


@injects("half-open database connection")
def half_open_database(env: ChaosEnvironment, fault: PlannedFault, rng: random.Random) -> None:
    _black_hole(env, fault, rng, [env.proxy_of(fault.target, DATABASE)])


@injects("partition")
def partition(env: ChaosEnvironment, fault: PlannedFault, rng: random.Random) -> None:
    """Three services lose the broker at the same time."""
    names = [name for name in ALL_PROCESSES if name.removesuffix("-2") in {"inventory", "payment", "shipping"}]
    _black_hole(env, fault, rng, [env.proxy_of(name, BROKER) for name in names])


@injects("slow network")
def slow_network(env: ChaosEnvironment, fault: PlannedFault, rng: random.Random) -> None:
    _delay(env, fault, env.proxies_of(fault.target), rng.uniform(0.02, 0.3))


@injects("slow database")
def slow_database(env: ChaosEnvironment, fault: PlannedFault, rng: random.Random) -> None:
    proxies = [env.proxy_of(name, DATABASE) for name in ALL_PROCESSES]
    _delay(env, fault, proxies, rng.uniform(0.01, 0.08))


def _black_hole(env: ChaosEnvironment, fault: PlannedFault, rng: random.Random, proxies: list[FaultProxy]) -> None:
    _hold_all(env, fault, proxies, lambda proxy: proxy.black_hole(rng.choice(DIRECTIONS)))


def _delay(env: ChaosEnvironment, fault: PlannedFault, proxies: list[FaultProxy], seconds: float) -> None:
    _hold_all(env, fault, proxies, lambda proxy: proxy.delay(seconds), lambda proxy: proxy.delay(0))


def _hold_all(
    env: ChaosEnvironment,
    fault: PlannedFault,
    proxies: list[FaultProxy],
    inject: OnProxy,
    undo: OnProxy = FaultProxy.heal,
) -> None:
    def each(action: OnProxy) -> None:
        for proxy in proxies:
            action(proxy)

    hold(env, fault, lambda: each(inject), lambda: each(undo))


@injects("confirm lost")
def lose_confirm(env: ChaosEnvironment, fault: PlannedFault, _: random.Random) -> None:
    _drop_frame(env, fault, BROKER, frames.is_confirm)


@injects("COMMIT reply lost")
def lose_commit_reply(env: ChaosEnvironment, fault: PlannedFault, _: random.Random) -> None:
    _drop_frame(env, fault, DATABASE, frames.is_commit_reply)


def _drop_frame(env: ChaosEnvironment, fault: PlannedFault, server: str, matches: FrameMatcher) -> None:
    proxy = env.frame_proxy_of(fault.target, server)
    proxy.drop_frames(matches)
    try:
        wait_for(env, lambda: proxy.dropped, "no such frame passed")
    finally:
        proxy.stop_dropping()
