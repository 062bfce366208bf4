"""Registry of the injection functions, one for each kind of fault, and the waits and retries that they share."""

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
"""Injection functions by kind of fault; `injects` fills it."""
WAIT_SECONDS = 20.0  # for the condition that a fault needs, such as a frame that can be dropped
RETRY_SECONDS = 15.0  # for an action that may fail because of other faults
UNDO_SECONDS = 60.0  # the same, for an action that undoes a fault
SERVER_UNAVAILABLE = (OSError, TimeoutError, httpx.HTTPError, asyncpg.PostgresError, asyncpg.InterfaceError, LocalError,
               MessagingError, aiormq.AMQPError, AssertionError)  # fmt: skip
"""Errors that clients and the harness raise while a server is unavailable."""


class NotInjected(Exception):
    """The condition that a fault needs was not met in time, so the fault was not injected."""


def injects(kind: str) -> Callable[[Injection], Injection]:
    """Register the decorated function for a kind of fault."""

    def register(injection: Injection) -> Injection:
        INJECTIONS[kind] = injection
        return injection

    return register


def retry(action: Callable[[], T], seconds: float = RETRY_SECONDS) -> T:
    """Repeat `action`, which other faults may disturb, until it succeeds. Raises its last error after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return action()
        except SERVER_UNAVAILABLE:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)


def hold(env: ChaosEnvironment, fault: PlannedFault, inject: Callable[[], object], undo: Callable[[], object]) -> None:
    """Inject a fault, wait for its duration, and undo it, also after an error."""
    try:
        retry(inject)
        env.pause(fault.seconds)
    finally:
        retry(undo, UNDO_SECONDS)


def wait_for(env: ChaosEnvironment, condition: Callable[[], object], failure: str) -> None:
    """Wait until a condition is true; raises NotInjected with the text `failure` if it stays false."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not _is_true(condition):
        if time.monotonic() > deadline or env.stopping.is_set():
            raise NotInjected(failure)
        time.sleep(0.05)


def _is_true(condition: Callable[[], object]) -> bool:
    try:
        return bool(condition())
    except (*SERVER_UNAVAILABLE, KeyError):
        return False
