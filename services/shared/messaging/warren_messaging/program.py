"""Runs a coroutine, or several services, as a program: signals, exit codes, errors in one line."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from warren_messaging.errors import ConfigurationError, MessagingError

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class RunnableService(Protocol):
    """A service, as a program runs it."""

    async def run_until(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set, and finish the work in progress."""


async def run_all(services: Iterable[RunnableService], stop: asyncio.Event) -> None:
    """Run services until `stop` is set or one of them ends; then all of them stop. Raises the error of the first that
    failed."""

    async def run_one(service: RunnableService) -> None:
        try:
            await service.run_until(stop)
        finally:
            stop.set()

    for result in await asyncio.gather(*map(run_one, services), return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


def run_program(name: str, main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run `main(stop)`; SIGTERM and SIGINT set `stop`. Uses uvloop if it is installed.

    Exits with 78 after a ConfigurationError and 69 after another MessagingError, which it prints as one line.
    """
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_run(main))
    except MessagingError as error:
        sys.stderr.write(f"{name}: {error}\n")
        sys.exit(os.EX_CONFIG if isinstance(error, ConfigurationError) else os.EX_UNAVAILABLE)


async def _run(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop.set)
    try:
        await main(stop)
    finally:
        # From here on signals are ignored: a second SIGTERM while the interpreter ends would change the exit code of a
        # process that has stopped in order. The loop restores the default on closing, so its handlers go first.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)  # for threads, which have a signal mask of their own


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - optional
    except ImportError:
        return None
    return uvloop.new_event_loop
