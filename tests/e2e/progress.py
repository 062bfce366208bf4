"""Waits for a condition and prints progress."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.e2e.errors import CheckFailed, E2EError

POLL = 1.0  # seconds
QUIET = 30.0  # seconds between two lines of progress


def report(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Progress:
    """Prints at most one line every QUIET seconds, the first one after QUIET seconds."""

    def __init__(self) -> None:
        self._began = self._printed = time.monotonic()

    def show(self, text: str) -> None:
        now = time.monotonic()
        if now - self._printed >= QUIET:
            self._printed = now
            report(f"         {now - self._began:.0f} s: {text}")


def wait(holds: Callable[[], bool], what: str, seconds: float, state: Callable[[], str] | None = None) -> float:
    """Wait until `holds` is true; return the time in seconds. `state` adds figures to the progress.

    Raises CheckFailed with `what` after `seconds`.
    """
    began = time.monotonic()
    progress = Progress()
    while not holds():
        if time.monotonic() - began > seconds:
            raise CheckFailed(f"after {seconds:.0f} s this does not hold: {what}{_figures(state)}")
        progress.show(f"waiting until {what}{_figures(state)}")
        time.sleep(POLL)
    return time.monotonic() - began


def _figures(state: Callable[[], str] | None) -> str:
    return f" ({state()})" if state is not None else ""


@contextmanager
def show_progress(state: Callable[[], str]) -> Iterator[None]:
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
