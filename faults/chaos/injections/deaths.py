"""Processes that die, stand still, stop, or have the wrong time."""

import random
import signal
from concurrent.futures import ThreadPoolExecutor

from faults.chaos.environment import Site
from faults.chaos.fault_kinds import EVERYBODY
from faults.chaos.injections.registry import injects, wait_for
from faults.chaos.plan import Planned
from faults.launcher import POINTS

TIDY = {0, -signal.SIGTERM}
"""Exit codes after SIGTERM; the second of a process that has hardly begun."""
HOUR = 3600


@injects("kill -9")
def kill(site: Site, fault: Planned, _: random.Random) -> None:
    with site.held_down(fault.target):
        site.slay(fault.target)
        site.pause(fault.seconds)


def kill_at(site: Site, fault: Planned, chance: random.Random) -> None:
    point = fault.kind.removeprefix("kill -9 ")
    site.arm(fault.target, point, chance.randint(1, 3))
    try:
        wait_for(site, lambda: site.sprung(fault.target), f"{fault.target} did not come {point}")
    finally:
        site.disarm_one(fault.target)


for each in POINTS:
    injects(f"kill -9 {each}")(kill_at)


@injects("stands still")
def freeze(site: Site, fault: Planned, _: random.Random) -> None:
    wait_for(site, lambda: fault.target in site.processes.pids, f"{fault.target} does not run")
    try:
        site.freeze(fault.target)
        site.pause(fault.seconds)
    finally:
        site.thaw(fault.target)


@injects("stands still with events in hand")
def freeze_at(site: Site, fault: Planned, chance: random.Random) -> None:
    point = chance.choice(("before publish", "before confirm"))
    site.arm(fault.target, point, chance.randint(1, 3), signal.SIGSTOP)
    try:
        wait_for(site, lambda: site.sprung(fault.target), f"{fault.target} did not come {point}")
        site.pause(fault.seconds)
    finally:
        site.disarm_one(fault.target)
        site.thaw(fault.target)


@injects("payment late")
def pay_late(site: Site, fault: Planned, _: random.Random) -> None:
    """The gateway has charged, the service stands still with the news, and every deadline passes."""
    site.arm(fault.target, "before result", number=signal.SIGSTOP)
    try:
        wait_for(site, lambda: site.sprung(fault.target), f"{fault.target} charged nobody")
        site.sql("UPDATE \"order\".orders SET deadline = now() WHERE state = 'CONFIRMED'")
        site.pause(fault.seconds)
    finally:
        site.disarm_one(fault.target)
        site.thaw(fault.target)


@injects("SIGTERM")
def stop(site: Site, fault: Planned, _: random.Random) -> None:
    with site.held_down(fault.target):
        _stop(site, fault.target)
        site.pause(fault.seconds)


@injects("SIGTERM to all")
def stop_all(site: Site, fault: Planned, _: random.Random) -> None:
    with site.held_down(*EVERYBODY):
        with ThreadPoolExecutor(len(EVERYBODY)) as pool:
            list(pool.map(lambda alias: _stop(site, alias), EVERYBODY))
        site.pause(fault.seconds)


@injects("clock off")
def skew(site: Site, fault: Planned, chance: random.Random) -> None:
    off = chance.choice((-HOUR, HOUR))
    try:
        with site.held_down(fault.target):
            _stop(site, fault.target)
            site.launch(fault.target, FAULT_SKEW_SECONDS=str(off))
        site.pause(fault.seconds)
    finally:
        with site.held_down(fault.target):
            _stop(site, fault.target)
            site.launch(fault.target)


def _stop(site: Site, alias: str) -> None:
    begun = bool(site.said(alias).strip())
    code = site.end(alias)
    if code == -signal.SIGKILL:  # with a server away as well, or no processor to be had; Kubernetes does the same
        site.late_stops += 1
    elif code not in ({0} if begun else TIDY) and not site.over.is_set():
        site.strange.append(f"{alias} ended with {code} on SIGTERM after {site.timeline.now:.0f} s")
