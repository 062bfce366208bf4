"""Runs measurements in child processes. A child prints its result as one line of JSON, the last of its output."""

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from devtools.errors import LocalError
from devtools.paths import CHECKOUT
from devtools.processes.die_with_parent import die_with_parent

MAX_SHOWN = 300  # characters of the output, from each end

T = TypeVar("T")


class RunFailed(LocalError):
    """A process of the benchmark failed or did not finish in time."""


def run_child(
    module: str,
    *arguments: object,
    result: type[T],
    environment: Mapping[str, str] | None = None,
    time_limit: float | None = None,
) -> tuple[T, str]:
    """Run a module of this package; returns its result and its standard error.

    Raises RunFailed if it prints no result or does not finish within `time_limit` seconds.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    try:
        done = subprocess.run(
            die_with_parent(command),
            env=os.environ | (environment or {}),
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            timeout=time_limit,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise RunFailed(f"{module} did not finish within {time_limit:.0f} s") from error
    return read_result(module, done, result), done.stderr


def write_result(result: Any) -> None:
    """Write the result of this process to standard output, for `read_result` of its parent.

    The write is buffered even where PYTHONUNBUFFERED is set: a signal can interrupt an unbuffered write to a pipe after
    64 KB, and the rest would be lost.
    """
    sys.stdout.flush()
    with open(sys.stdout.fileno(), "wb", closefd=False) as output:
        output.write(msgspec.json.encode(result) + b"\n")


def read_result(program: str, done: "subprocess.CompletedProcess[str]", kind: type[T]) -> T:
    """Decode the last line of a program's output. Raises RunFailed with the output if that is not a result."""
    lines = done.stdout.splitlines()
    try:
        return msgspec.json.decode(lines[-1] if lines else "", type=kind)
    except msgspec.DecodeError as error:
        text = done.stdout
        shown = text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]} … {text[-MAX_SHOWN:]}"
        raise RunFailed(
            f"{program} ended with exit code {done.returncode} and without a result: {error}."
            f" Its output had {len(text)} characters: {shown!r}. Its errors:\n{done.stderr}"
        ) from error
