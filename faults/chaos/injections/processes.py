"""Processes that are killed, frozen, stopped, run with a wrong clock, or start with a wrong configuration."""

import os
import random
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from faults.chaos.environment import KILLED, ChaosEnvironment
from faults.chaos.fault_kinds import ALL_PROCESSES
from faults.chaos.injections.registry import NotInjected, injects, wait_for
from faults.chaos.plan import PlannedFault
from faults.harness import BROKER
from faults.launcher import FAILPOINTS

HOUR = 3600


@injects("kill -9")
def kill(env: ChaosEnvironment, fault: PlannedFault, _: random.Random) -> None:
    with env.kept_down(fault.target):
        env.kill(fault.target)
        env.pause(fault.seconds)


@contextmanager
def _failpoint_hit(env: ChaosEnvironment, alias: str, point: str, nth: int, number: signal.Signals) -> Iterator[None]:
    """Run the block once a process has received the signal at a failpoint."""
    env.set_failpoint(alias, point, nth, number)
    try:
        wait_for(env, lambda: env.failpoint_hit(alias), f"{alias} did not reach {point}")
        yield
    finally:
        env.clear_failpoint(alias)
        if number is signal.SIGSTOP:
            env.thaw(alias)


def kill_at(env: ChaosEnvironment, fault: PlannedFault, rng: random.Random) -> None:
    point = fault.kind.removeprefix("kill -9 ")
    with _failpoint_hit(env, fault.target, point, rng.randint(1, 3), signal.SIGKILL):
        pass


for each in FAILPOINTS:
    injects(f"kill -9 {each}")(kill_at)


@injects("frozen")
def freeze(env: ChaosEnvironment, fault: PlannedFault, _: random.Random) -> None:
    wait_for(env, lambda: fault.target in env.processes.pids, f"{fault.target} does not run")
    try:
        env.freeze(fault.target)
        env.pause(fault.seconds)
    finally:
        env.thaw(fault.target)


@injects("frozen while publishing")
def freeze_publisher(env: ChaosEnvironment, fault: PlannedFault, rng: random.Random) -> None:
    point = rng.choice(("before publish", "before confirm"))
    with _failpoint_hit(env, fault.target, point, rng.randint(1, 3), signal.SIGSTOP):
        env.pause(fault.seconds)


@injects("late payment")
def delay_payment(env: ChaosEnvironment, fault: PlannedFault, _: random.Random) -> None:
    """The gateway has charged, the service is frozen before it stores the result, and every deadline passes."""
    with _failpoint_hit(env, fault.target, "before result", 1, signal.SIGSTOP):
        env.sql("UPDATE \"order\".orders SET deadline = now() WHERE state = 'CONFIRMED'")
        env.pause(fault.seconds)


@injects("SIGTERM")
def stop(env: ChaosEnvironment, fault: PlannedFault, _: random.Random) -> None:
    with env.kept_down(fault.target):
        terminate(env, fault.target)
        env.pause(fault.seconds)


@injects("SIGTERM to all")
def stop_all(env: ChaosEnvironment, fault: PlannedFault, _: random.Random) -> None:
    with env.kept_down(*ALL_PROCESSES):
        with ThreadPoolExecutor(len(ALL_PROCESSES)) as pool:
            list(pool.map(lambda alias: terminate(env, alias), ALL_PROCESSES))
        env.pause(fault.seconds)


@injects("clock skew")
def skew(env: ChaosEnvironment, fault: PlannedFault, rng: random.Random) -> None:
    seconds = rng.choice((-HOUR, HOUR))
    try:
        _relaunch(env, fault.target, FAULT_SKEW_SECONDS=str(seconds))
        env.pause(fault.seconds)
    finally:
        _relaunch(env, fault.target)


def _relaunch(env: ChaosEnvironment, alias: str, **settings: str) -> None:
    with env.kept_down(alias):
        terminate(env, alias)
        env.launch(alias, **settings)


def terminate(env: ChaosEnvironment, alias: str) -> None:
    """Send SIGTERM, and record an exit code that is not clean."""
    # A process that has hardly started is ended by the signal itself.
    clean = {0} if env.log(alias).strip() else {0, -signal.SIGTERM}
    code = env.processes.stop(alias)
    if code == -signal.SIGKILL:  # a server was unavailable as well, or the CPU was busy; Kubernetes kills it too
        env.counts[KILLED] += 1
    elif code not in clean and not env.stopping.is_set():
        after = f"after {env.timeline.now:.0f} s"
        env.unexpected_exits.append(f"{alias} ended with {code} on SIGTERM {after}")


@injects("wrong password")
def wrong_password(env: ChaosEnvironment, fault: PlannedFault, _: random.Random) -> None:
    folder = env.folder / "wrong" / "payment-rabbitmq"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "username").write_text("payment")
    (folder / "password").write_text("wrong")
    _start_misconfigured(env, fault, "refused the user 'payment'", WARREN_BROKER_CREDENTIALS=str(folder))


@injects("expired certificate")
def expired_certificate(env: ChaosEnvironment, fault: PlannedFault, _: random.Random) -> None:
    proxy = env.frame_proxy(BROKER, expired=True)
    settings = env.settings_via("shipping", proxy, BROKER)
    _start_misconfigured(env, fault, "certificate has expired", **settings)


def _start_misconfigured(env: ChaosEnvironment, fault: PlannedFault, reason: str, **settings: str) -> None:
    """Start a further replica; it must exit with a configuration error and log the reason."""
    alias = fault.target
    env.processes.start(env.process_of(alias, **settings))
    try:
        wait_for(env, lambda: alias in env.processes.ended, f"{alias} did not exit")
        code, log = env.processes.ended[alias], env.log(alias)
        if code != os.EX_CONFIG or reason not in log:
            raise NotInjected(f"{alias} ended with {code}: {log[-300:]}")
    finally:
        env.kill(alias)
