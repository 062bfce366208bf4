"""Connections that break, hang, crawl, or lose one answer."""

import random

from faults import frames
from faults.chaos.environment import Site
from faults.chaos.fault_kinds import EVERYBODY
from faults.chaos.injections.registry import injects, wait_for
from faults.chaos.plan import Planned
from faults.frames import Verdict
from faults.harness import BROKER, DATABASE
from faults.proxy import BOTH, Direction, Line

WAYS = (BOTH, frozenset({Direction.TO_SERVER}), frozenset({Direction.FROM_SERVER}))


def _some(site: Site, fault: Planned, chance: random.Random) -> list[Line]:
    """One line of the target, or both."""
    both = site.lines_of(fault.target)
    return chance.choice((both, both[:1], both[1:]))


@injects("connections cut")
def cut(site: Site, fault: Planned, chance: random.Random) -> None:
    for line in _some(site, fault, chance):
        line.cut()
        site.pause(fault.seconds)


@injects("connections refused")
def refuse(site: Site, fault: Planned, chance: random.Random) -> None:
    lines = _some(site, fault, chance)
    try:
        for line in lines:
            line.refuse()
        site.pause(fault.seconds)
    finally:
        _heal(lines)


@injects("half open")
def half_open(site: Site, fault: Planned, chance: random.Random) -> None:
    _black_hole(site, fault, chance, [site.line_of(fault.target, BROKER)])


@injects("half-open database")
def half_open_database(site: Site, fault: Planned, chance: random.Random) -> None:
    _black_hole(site, fault, chance, [site.line_of(fault.target, DATABASE)])


@injects("partition")
def partition(site: Site, fault: Planned, chance: random.Random) -> None:
    """Three services at once lose the broker."""
    names = [name for name in EVERYBODY if name.removesuffix("-2") in {"inventory", "payment", "shipping"}]
    _black_hole(site, fault, chance, [site.line_of(name, BROKER) for name in names])


def _black_hole(site: Site, fault: Planned, chance: random.Random, lines: list[Line]) -> None:
    try:
        for line in lines:
            line.black_hole(chance.choice(WAYS))
        site.pause(fault.seconds)
    finally:
        _heal(lines)


@injects("slow network")
def crawl(site: Site, fault: Planned, chance: random.Random) -> None:
    _delay(site, fault, site.lines_of(fault.target), chance.uniform(0.02, 0.3))


@injects("slow database")
def crawl_database(site: Site, fault: Planned, chance: random.Random) -> None:
    _delay(site, fault, [site.line_of(name, DATABASE) for name in EVERYBODY], chance.uniform(0.01, 0.08))


def _delay(site: Site, fault: Planned, lines: list[Line], seconds: float) -> None:
    try:
        for line in lines:
            line.delay(seconds)
        site.pause(fault.seconds)
    finally:
        for line in lines:
            line.delay(0)


@injects("confirm lost")
def lose_confirm(site: Site, fault: Planned, _: random.Random) -> None:
    _swallow(site, fault, BROKER, frames.is_confirm)


@injects("COMMIT's answer lost")
def lose_commit(site: Site, fault: Planned, _: random.Random) -> None:
    _swallow(site, fault, DATABASE, frames.is_commit_reply)


def _swallow(site: Site, fault: Planned, server: str, verdict: Verdict) -> None:
    line = site.open_line_of(fault.target, server)
    line.swallow(verdict)
    try:
        wait_for(site, lambda: line.swallowed, "nothing came by that could be lost")
    finally:
        line.forgive()


def _heal(lines: list[Line]) -> None:
    for line in lines:
        line.heal()
