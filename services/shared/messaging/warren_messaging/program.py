"""Runs a coroutine, or several services, as a program: signals, exit codes, errors in one line."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Protocol

from warren_messaging.errors import ConfigurationError, MessagingError

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class RunnableService(Protocol):
    """A service, as a program runs it."""

    name: str

    async def run_until(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set, and finish the work in progress."""


def run(*services: RunnableService) -> None:
    """Run services as a program: until SIGTERM or SIGINT, or until one of them fails; then each of them drains.

    Logs to the standard error stream unless logging is configured already. Prints an error as one line. Exits with 0
    after an orderly stop, 78 for a wrong setting, permission or topology, and 69 if a server that a service needs to
    start remained unavailable.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # aiormq reports each lost connection with a stack trace; the library logs one line for it.
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)
    run_program("+".join(each.name for each in services), partial(run_all, services))


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


def run_program(
    name: str,
    main: Callable[[asyncio.Event], Awaitable[None]],
    report: Callable[[MessagingError], object] | None = None,
) -> None:
    """Run `main(stop)`; SIGTERM and SIGINT set `stop`. Uses uvloop if it is installed.

    Exits with 78 after a ConfigurationError and 69 after another MessagingError, which it passes to `report` or prints
    as one line.
    """
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_run(main))
    except MessagingError as error:
        if report is None:
            sys.stderr.write(f"{name}: {error}\n")
        else:
            report(error)
        sys.exit(os.EX_CONFIG if isinstance(error, ConfigurationError) else os.EX_UNAVAILABLE)


async def _run(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    # Not the loop's own handlers: removing them restores the default for a moment, and a SIGTERM that another thread
    # takes at that moment would end the process.
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    try:
        await main(stop)
    finally:
        # From here on signals are ignored: a second SIGTERM while the interpreter ends would change the exit code of a
        # process that has stopped in order.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # for threads, which have a signal mask of their own


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - optional
    except ImportError:
        return None
    return uvloop.new_event_loop
