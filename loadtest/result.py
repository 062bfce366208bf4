"""How a program of a measurement hands over its result: as one line of JSON on standard output."""

import subprocess
import sys
from typing import TypeVar

import msgspec

from loadtest.errors import RunFailed

SHOWN = 300  # characters of what was read

Result = TypeVar("Result", bound=msgspec.Struct)


def write_result(result: msgspec.Struct) -> None:
    """Writes all of it. A signal can cut a write to a pipe short after 64 KB; a buffer then writes the rest, and
    `sys.stdout` has none where PYTHONUNBUFFERED is set."""
    sys.stdout.flush()
    with open(sys.stdout.fileno(), "wb", closefd=False) as output:
        output.write(msgspec.json.encode(result) + b"\n")


def read_result(program: str, done: "subprocess.CompletedProcess[str]", kind: type[Result]) -> Result:
    """The last line that a program has printed. Raises RunFailed, with what it has printed instead."""
    lines = done.stdout.splitlines()
    try:
        return msgspec.json.decode(lines[-1] if lines else "", type=kind)
    except msgspec.DecodeError as error:
        read = done.stdout if len(done.stdout) <= SHOWN else f"{done.stdout[:SHOWN]} … {done.stdout[-SHOWN:]}"
        raise RunFailed(
            f"{program} ended with exit code {done.returncode} and without a result: {error}."
            f" Its output had {len(done.stdout)} characters: {read!r}. Its errors:\n{done.stderr}"
        ) from error
