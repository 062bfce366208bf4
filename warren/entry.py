"""Runs a console script: Ctrl-C, output that cannot be written and packages that are not installed end it with one line
or none, never with a stack trace.

This module imports next to nothing and takes over SIGINT when it is imported, which is the first thing that a script
does. Only scripts import it.
"""

import gc
import io
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from warren.errors import FAILED, fail

INTERRUPTED = 130

Work = Callable[[], int]


def _leave(_number: int = 0, _frame: FrameType | None = None) -> NoReturn:
    """Ends the process at once. A KeyboardInterrupt in the middle of an import can end up in any module's hands."""
    os._exit(INTERRUPTED)


signal.signal(signal.SIGINT, _leave)
gc.set_threshold(200_000)  # imports make objects that stay: looking through them often takes an eighth of the start


def warren() -> NoReturn:
    """The console script `warren`."""

    def load() -> Work:
        from warren import cli

        return cli.load(sys.argv[1:])

    guard("warren", load, "pip install 'warren[local]'")


def broker_topology() -> NoReturn:
    """The console script `broker-topology`."""

    def load() -> Work:
        from broker_topology.cli import main

        return main

    guard("broker_topology", load, "pip install 'warren[operator]'")


def guard(program: str, load: Callable[[], Work], install: str) -> NoReturn:
    """Run what `load` returns and exit with its code. `install` is the command that installs missing packages.

    While `load` imports and parses, Ctrl-C ends the process; from then on it raises KeyboardInterrupt.
    """
    if sys.stdout is None:
        sys.exit(fail(program, "standard output is closed"))
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(_Output(program)),
        encoding=sys.stdout.encoding,
        errors="backslashreplace",
        line_buffering=sys.stdout.isatty(),
    )
    code = _run(program, load, install)
    signal.signal(signal.SIGINT, _leave)
    try:
        sys.stdout.flush()
    except SystemExit:
        code = FAILED
    sys.exit(code)


def _run(program: str, load: Callable[[], Work], install: str) -> int:
    try:
        work = load()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        return work()
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as error:
        if not isinstance(error.code, int | None):
            raise
        return error.code or 0
    except ImportError as error:
        missing = error if isinstance(error, ModuleNotFoundError) else error.__cause__
        if not isinstance(missing, ModuleNotFoundError):
            raise
        return fail(program, f"the package that provides {missing.name!r} is not installed: {install}")
    except OSError as error:
        return fail(program, f"{error.filename}: {error.strerror}" if error.filename else str(error))


class _Output(io.FileIO):
    """Standard output. Where it cannot be written the program ends, in order and with exit code 1: with a line, or
    without one when the reader of a pipe has gone, as `head` does.

    The SystemExit passes handlers of OSError, which would blame a server for it.
    """

    def __init__(self, program: str) -> None:
        super().__init__(1, "wb", closefd=False)
        self._program = program

    def write(self, data: "bytes | memoryview") -> int:  # type: ignore[override]
        try:
            return super().write(data)
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            if not isinstance(error, BrokenPipeError):
                fail(self._program, f"standard output: {error.strerror}")
            if threading.current_thread() is not threading.main_thread():
                os.kill(os.getpid(), signal.SIGINT)  # a SystemExit would end this thread alone
            raise SystemExit(FAILED) from None
