"""Runs external programs."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from tests.e2e.errors import CommandFailed

TAIL = 15  # the last lines of a failed program, for the error


def run(
    command: Sequence[str],
    *,
    feed: str | None = None,
    seconds: float = 120,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run `command` and return its output. Raises CommandFailed if it fails, cannot start, or exceeds `seconds`."""
    text = " ".join(command)
    try:
        done = subprocess.run(
            command, input=feed, capture_output=True, text=True, check=False, timeout=seconds, env=environment
        )
    except OSError as error:
        raise CommandFailed(f"{command[0]} cannot be run: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(f"{text}: did not end within {seconds:.0f} s") from error
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-TAIL:])
        raise CommandFailed(f"{text}: exit code {done.returncode}\n{tail}")
    return done.stdout


def read_json(command: Sequence[str], *, seconds: float = 120) -> Any:
    return json.loads(run(command, seconds=seconds))
