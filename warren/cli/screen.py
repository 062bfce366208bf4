"""Where commands print: one console for results and one for remarks, with colours only on a terminal.

Text that came from a message or over the network passes `shown` or `printable` first: it must not steer the terminal.
"""

import json
import os
import re
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from services.shared.chassis.text import printable

MIN_WIDTH = 6  # columns; a text is cut to no less
WIDTH = 200  # columns, where the output is no terminal and COLUMNS is not set

_UNPRINTABLE = re.compile(r"[^ -~]")


def _console(*, stderr: bool = False, soft_wrap: bool = False) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    fixed = not stream.isatty() and not os.environ.get("COLUMNS")
    return Console(stderr=stderr, highlight=False, emoji=False, soft_wrap=soft_wrap, width=WIDTH if fixed else None)


out = _console()
err = _console(stderr=True, soft_wrap=True)


def safe_markup(text: Any) -> str:
    """Any text as one cell of a table or as part of a line: printable, and never taken for markup."""
    return escape(printable(text))


class TableRow(NamedTuple):
    """One line of a list, and what is written below it because no terminal has room for it beside the rest."""

    cells: tuple[object, ...]
    style: str = ""
    below: str = ""


def table(heading: Sequence[str], found: Sequence[TableRow], flexible: Sequence[int] = (), indent: str = "") -> Text:
    """A list as wide as the terminal at most: the columns `flexible` are cut with an ellipsis where it is narrow."""
    lines = [tuple(heading), *(tuple(map(printable, row.cells)) for row in found)]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    while sum(widths) + 2 * len(widths) - 2 + len(indent) > out.width:
        widest = max(flexible, key=widths.__getitem__, default=None)
        if widest is None or widths[widest] <= MIN_WIDTH:
            break
        widths[widest] -= 1
    text = Text()
    for line, row in zip(lines, [TableRow((), "dim"), *found], strict=True):
        cells = [
            set_cell_size(cell if cell_len(cell) <= width else set_cell_size(cell, width - 1) + "…", width)
            for cell, width in zip(line, widths, strict=True)
        ]
        text.append(f"{indent}{'  '.join(cells).rstrip()}\n", row.style)
        if row.below:
            text.append(f"{indent}    {printable(row.below)}\n", "yellow")
    text.rstrip()
    return text


def json_line(document: Any) -> str:
    """One document as one line of JSON. What is not printable is written as a JSON escape."""
    text = json.dumps(document, ensure_ascii=False, default=str)
    return _UNPRINTABLE.sub(lambda found: found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1], text)


def print_json(document: Any) -> None:
    """Print it as a line, at once: a reader that stops early, such as `head`, ends the command."""
    print(json_line(document), flush=True)
