"""Waiting for a condition, with a line of progress now and then, so that a long wait is no silence."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.e2e.errors import E2EError, NotSo

POLL = 1.0  # seconds
QUIET = 30.0  # seconds between two lines of progress


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Progress:
    """Prints at most one line every QUIET seconds, and none before the first QUIET seconds are over."""

    def __init__(self) -> None:
        self._began = self._printed = time.monotonic()

    def show(self, text: str) -> None:
        now = time.monotonic()
        if now - self._printed >= QUIET:
            self._printed = now
            say(f"         {now - self._began:.0f} s: {text}")


def wait(holds: Callable[[], bool], what: str, seconds: float, state: Callable[[], str] | None = None) -> float:
    """Returns how long it took. `state` adds figures to the progress. Raises NotSo with `what` after `seconds`."""
    began = time.monotonic()
    progress = Progress()
    while not holds():
        if time.monotonic() - began > seconds:
            raise NotSo(f"after {seconds:.0f} s it is still not so that {what}{_figures(state)}")
        progress.show(f"waits until {what}{_figures(state)}")
        time.sleep(POLL)
    return time.monotonic() - began


def _figures(state: Callable[[], str] | None) -> str:
    return f" ({state()})" if state is not None else ""


@contextmanager
def shown(state: Callable[[], str]) -> Iterator[None]:
    """Prints `state` every QUIET seconds while the block runs."""
    over = threading.Event()
    progress = Progress()

    def show() -> None:
        while not over.wait(QUIET):
            try:
                progress.show(state())
            except E2EError as error:
                progress.show(str(error))

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
