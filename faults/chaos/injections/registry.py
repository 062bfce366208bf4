"""Which function makes which kind of fault, and how all of them wait and insist."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

import aiormq
import asyncpg
import httpx

from devtools.errors import LocalError
from faults.chaos.environment import Site
from faults.chaos.plan import Planned
from warren_messaging.errors import MessagingError

Injection = Callable[[Site, Planned, random.Random], None]
T = TypeVar("T")

INJECTIONS: dict[str, Injection] = {}
OPPORTUNITY = 20.0  # seconds that a fault waits for what it needs, such as a message that can be lost
INSISTING = 15.0  # seconds that something is tried while other faults are in the way
AWAY = (OSError, TimeoutError, httpx.HTTPError, asyncpg.PostgresError, asyncpg.InterfaceError, LocalError,
        MessagingError, aiormq.AMQPError, AssertionError)  # fmt: skip
"""What servers, and this hand, say while a server is away."""


class Hindered(Exception):
    """The fault could not be made: what it needs did not come about in its time."""


def injects(kind: str) -> Callable[[Injection], Injection]:
    def register(injection: Injection) -> Injection:
        INJECTIONS[kind] = injection
        return injection

    return register


def insist(action: Callable[[], T], seconds: float = INSISTING) -> T:
    """Do something that other faults may be in the way of, again until it works."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return action()
        except AWAY:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)


def wait_for(site: Site, holds: Callable[[], object], otherwise: str, seconds: float = OPPORTUNITY) -> None:
    """Wait until something holds; raises Hindered with `otherwise` when it does not in time."""
    deadline = time.monotonic() + seconds
    while not _true(holds):
        if time.monotonic() > deadline or site.over.is_set():
            raise Hindered(otherwise)
        time.sleep(0.05)


def _true(holds: Callable[[], object]) -> bool:
    try:
        return bool(holds())
    except (*AWAY, KeyError):
        return False
