"""Makes every polite way of ending this process the same one: KeyboardInterrupt in the main thread.

Ctrl-C does that already; `kill`, `warren down` and a closed terminal do not, and would skip every `finally`.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

__all__ = ["stoppable"]


@contextmanager
def stoppable() -> Iterator[None]:
    """Within it SIGTERM and SIGHUP raise KeyboardInterrupt. For the main thread only."""

    def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
