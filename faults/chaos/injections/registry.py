"""The injection function of each kind of fault, and how all of them wait and retry."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

import aiormq
import asyncpg
import httpx

from devtools.errors import LocalError
from faults.chaos.environment import ChaosEnvironment
from faults.chaos.plan import PlannedFault
from warren_messaging.errors import MessagingError

Injection = Callable[[ChaosEnvironment, PlannedFault, random.Random], None]
T = TypeVar("T")

INJECTIONS: dict[str, Injection] = {}
WAIT_SECONDS = 20.0  # for the condition that a fault needs, such as a frame that can be dropped
RETRY_SECONDS = 15.0  # while other faults make an action fail
UNDO_SECONDS = 60.0
SERVER_AWAY = (OSError, TimeoutError, httpx.HTTPError, asyncpg.PostgresError, asyncpg.InterfaceError, LocalError,
               MessagingError, aiormq.AMQPError, AssertionError)  # fmt: skip
"""Errors of clients, and of the harness, while a server is unavailable."""


class NotInjected(Exception):
    """The condition that the fault needs did not come in time."""


def injects(kind: str) -> Callable[[Injection], Injection]:
    """Register the decorated function for a kind of fault."""

    def register(injection: Injection) -> Injection:
        INJECTIONS[kind] = injection
        return injection

    return register


def retrying(action: Callable[[], T], seconds: float = RETRY_SECONDS) -> T:
    """Repeat an action that other faults may make fail until it succeeds; raises its error after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return action()
        except SERVER_AWAY:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)


def hold(env: ChaosEnvironment, fault: PlannedFault, inject: Callable[[], object], undo: Callable[[], object]) -> None:
    """Inject a fault, keep it for its duration, and undo it in any case."""
    try:
        retrying(inject)
        env.pause(fault.seconds)
    finally:
        retrying(undo, UNDO_SECONDS)


def wait_for(env: ChaosEnvironment, holds: Callable[[], object], otherwise: str) -> None:
    """Wait until a condition holds; raises NotInjected with the text `otherwise` when it does not in time."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not _is_true(holds):
        if time.monotonic() > deadline or env.stopping.is_set():
            raise NotInjected(otherwise)
        time.sleep(0.05)


def _is_true(holds: Callable[[], object]) -> bool:
    try:
        return bool(holds())
    except (*SERVER_AWAY, KeyError):
        return False
