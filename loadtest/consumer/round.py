"""One round of either side: its command line and its result."""

import argparse
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec
import uvloop

from loadtest import cpu
from loadtest.child import write_result
from loadtest.profiling import profiled


class RoundResult(msgspec.Struct, frozen=True):
    messages: int
    seconds: float
    """Time from before the first connection to the last confirm and acknowledgement."""
    cpu_seconds: float
    """User and system time of the process."""

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU for each message."""
        return self.cpu_seconds / self.messages * 1e6


def run_side(
    module: str, measure: Callable[[argparse.Namespace], Coroutine[Any, Any, RoundResult]], shapes: Sequence[str] = ()
) -> None:
    """Parse the options of a side, measure one round, and print the result."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}")
    parser.add_argument("--messages", type=int, required=True)
    parser.add_argument("--core", type=int, help="run on this core only")
    parser.add_argument("--profile", action="store_true", help="run under cProfile; the table goes to standard error")
    if shapes:
        parser.add_argument("--shape", choices=shapes, default=shapes[0])
    options = parser.parse_args()
    cpu.use_core(options.core)
    with profiled(sys.stderr if options.profile else None):
        result = uvloop.run(measure(options))
    write_result(result)
