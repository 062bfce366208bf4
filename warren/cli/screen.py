"""The consoles of commands: `out` for results, `err` for remarks, with colours on a terminal only.

Text from a message or from the network passes `safe_markup` or `printable` first: it must not control the terminal.
"""

import json
import os
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from services.shared.chassis.text import printable

MIN_WIDTH = 6  # characters; no column of a table is cut further
WIDTH = 200  # characters, if the output is not a terminal and COLUMNS is not set

_UNPRINTABLE = re.compile(r"[^ -~]")


def _console(*, stderr: bool = False, soft_wrap: bool = False) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    fixed = not stream.isatty() and not os.environ.get("COLUMNS")
    return Console(stderr=stderr, highlight=False, emoji=False, soft_wrap=soft_wrap, width=WIDTH if fixed else None)


out = _console()
err = _console(stderr=True, soft_wrap=True)


def safe_markup(text: Any) -> str:
    """Return any text as printable text without markup, for a cell or a part of a line."""
    return escape(printable(text))


class TableRow(NamedTuple):
    """A row of a table, and long texts to print below it, a line each."""

    cells: tuple[object, ...]
    style: str = ""
    below: tuple[str, ...] = ()


def table(heading: Sequence[str], rows: Sequence[TableRow], flexible: Sequence[int] = (), indent: str = "") -> Text:
    """Lay out rows in columns. On a narrow terminal the columns `flexible` are cut, with an ellipsis."""
    lines = [tuple(heading), *(tuple(map(printable, row.cells)) for row in rows)]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    while sum(widths) + 2 * len(widths) - 2 + len(indent) > out.width:
        widest = max(flexible, key=widths.__getitem__, default=None)
        if widest is None or widths[widest] <= MIN_WIDTH:
            break
        widths[widest] -= 1
    text = Text()
    for line, row in zip(lines, [TableRow((), "dim"), *rows], strict=True):
        cells = [
            set_cell_size(cell if cell_len(cell) <= width else set_cell_size(cell, width - 1) + "…", width)
            for cell, width in zip(line, widths, strict=True)
        ]
        text.append(f"{indent}{'  '.join(cells).rstrip()}\n", row.style)
        for below in filter(None, row.below):
            text.append(f"{indent}    {printable(below)}\n", "yellow")
    text.rstrip()
    return text


def json_line(document: Any) -> str:
    """Return a document as one line of JSON, with escapes for unprintable characters."""
    text = json.dumps(document, ensure_ascii=False, default=str)
    return _UNPRINTABLE.sub(lambda found: found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1], text)


def print_json(document: Any) -> None:
    """Print a document as a line, and flush: a reader that stops early, such as `head`, ends the command."""
    print(json_line(document), flush=True)


def age(since: datetime | None, now: datetime | None = None) -> str:
    """Return the time since then in its largest unit; "?" for None."""
    return "?" if since is None else duration(((now or datetime.now(UTC)) - since).total_seconds())


def duration(seconds: float) -> str:
    """Return seconds, at least 0, in their largest unit."""
    seconds = max(seconds, 0)
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def until(then: datetime | None, now: datetime | None = None) -> str:
    """Return the time until then, such as "in 12 s"; "now" if it has passed, "?" for None."""
    if then is None:
        return "?"
    now = now or datetime.now(UTC)
    return f"in {age(now, then)}" if then > now else "now"
