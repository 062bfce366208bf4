"""Runs a command of `warren` in a terminal and draws what it printed."""

import contextlib
import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping

from rich.console import Console
from rich.text import Text

LINES = 60
_WEB_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
"""A font that a browser would load from another server."""


def terminal_picture(arguments: list[str], environment: Mapping[str, str], width: int) -> str:
    """Return a picture (SVG) of a command in a terminal that is `width` characters wide."""
    text = Text.from_ansi(run_in_terminal(arguments, environment, width))
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(text, soft_wrap=True)
    title = " ".join(["warren", *arguments])
    return _WEB_FONT.sub("", console.export_svg(title=title, unique_id=f"warren-{arguments[0]}")) + "\n"


def run_in_terminal(arguments: list[str], environment: Mapping[str, str], width: int) -> str:
    """Return what a command writes to a terminal. Raises CalledProcessError."""
    end, program_end = pty.openpty()
    fcntl.ioctl(program_end, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, width, 0, 0))
    command = [sys.executable, "-m", "warren", *arguments]
    variables = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", **environment}
    with subprocess.Popen(command, stdin=program_end, stdout=program_end, stderr=program_end, env=variables) as program:
        os.close(program_end)
        written = b""
        with contextlib.suppress(OSError):  # the program has ended
            while chunk := os.read(end, 1 << 16):
                written += chunk
        os.close(end)
    if program.returncode:
        raise subprocess.CalledProcessError(program.returncode, command, written)
    return written.decode().replace("\r\n", "\n")
