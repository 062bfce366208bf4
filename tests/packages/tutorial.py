"""Follows a tutorial: writes the files of a page and runs its commands, in the order of the page.

A file is a block after a paragraph that ends with its name in backticks and a colon. A `console` block has commands
after `$ ` (a line that ends in a backslash continues), each followed by exactly what it prints.
"""

import re
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

BLOCK = re.compile(r"(?:`([\w./-]+)`:\n\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)\n?((?:(?!\$ ).*\n)*)", re.MULTILINE)


class Shell:
    """One bash for the whole tutorial: variables that a command exports stay."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash", "--norc"],
            cwd=folder,
            env=dict(variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: str) -> str:
        """Run one command and return what it prints to standard output and standard error."""
        end = secrets.token_hex(8)
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{command}\necho {end}\n")
        self._process.stdin.flush()
        printed = ""
        for line in self._process.stdout:
            printed += line
            if printed.endswith(f"{end}\n"):
                return printed.removesuffix(f"{end}\n")
        raise AssertionError(f"the shell ended during {command}: {printed}")

    def close(self) -> None:
        self._process.communicate()


@contextmanager
def shell(folder: Path, variables: Mapping[str, str]) -> Iterator[Shell]:
    """A shell that ends with the block."""
    opened = Shell(folder, variables)
    try:
        yield opened
    finally:
        opened.close()


def follow(text: str, folder: Path, variables: Mapping[str, str]) -> list[str]:
    """Follow the page in `folder`; return its commands. Fails at the first one that prints something else."""
    commands = []
    with shell(folder, variables) as opened:
        for name, language, content in BLOCK.findall(text):
            if language == "console":
                for command, expected in COMMAND.findall(content):
                    commands.append(command)
                    printed = opened.run(command)
                    assert printed == expected, f"$ {command}\n{printed}"
            elif name:
                (folder / name).write_text(content)
    return commands
