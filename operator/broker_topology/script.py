"""Runs a console script. Ctrl-C, a write error and a missing package end it with at most one line.

Imports little: a script calls `exit_on_interrupt` before its own imports.
"""

import io
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

FAILED, INTERRUPTED = 1, 130

Work = Callable[[], int]


def exit_on_interrupt() -> None:
    """Let Ctrl-C end the process immediately: during imports any module could catch a KeyboardInterrupt."""
    signal.signal(signal.SIGINT, _exit_interrupted)


def _exit_interrupted(_number: int, _frame: FrameType | None) -> NoReturn:
    os._exit(INTERRUPTED)


def guard(program: str, load: Callable[[], Work], install: str) -> NoReturn:
    """Run the function that `load` returns and exit with its code. `install` is the command for a missing package.

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
    exit_on_interrupt()
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
    """Standard output that raises SystemExit(1) if it cannot be written, silently if the reader closed the pipe.

    An OSError would be mistaken for an error of a connection.
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


def fail(program: str, text: str) -> int:
    """Report on standard error why the program ends; return the exit code."""
    if sys.stderr is not None:
        coloured = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
        name = f"\x1b[31m{program}:\x1b[0m" if coloured else f"{program}:"
        try:
            sys.stderr.write(f"{name} {text}\n")
            sys.stderr.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    return FAILED
