"""Prints benchmarks: the host, tables, checks and targets. Colours only on a terminal."""

import sys
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from devtools.invariants import Check
from loadtest.results import Host, Target

out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 120)
_err = Console(stderr=True, highlight=False, soft_wrap=True)


def progress(line: str) -> None:
    """Print to standard error, so that standard output has only the result."""
    _err.print(f"[dim]{line}[/dim]", markup=True)


def heading(text: str) -> None:
    out.print(f"\n[bold]{text}[/bold]")


def host(found: Host, **conditions: object) -> None:
    """Print what a reader needs to know to judge the figures."""
    heading("Host")
    rows = {
        "processor": f"{found.cores} x {found.processor}, {found.memory_gib} GiB, Linux {found.kernel}",
        "load before": f"{found.load} (average of a minute)",
        "versions": f"Python {found.python}, " + ", ".join(f"{name} {text}" for name, text in found.libraries.items()),
    }
    pairs(rows | conditions)


def pairs(rows: Mapping[str, object]) -> None:
    """Print names and values without a header."""
    table([], [[name.replace("_", " "), str(value)] for name, value in rows.items()])


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows; with a header all columns but the first are aligned as numbers."""
    shown = Table(box=None, padding=(0, 2, 0, 2), show_header=bool(columns))
    for index, column in enumerate(columns or [""] * len(rows[0])):
        shown.add_column(column, justify="right" if columns and index else "left")
    for row in rows:
        shown.add_row(*row)
    out.print(shown)


def checks(found: Sequence[Check]) -> None:
    heading("Invariants")
    for check in found:
        sign = "[green]✓[/green]" if check.held else "[red]✗[/red]"
        out.print(f"  {sign} {check.name}: {check.detail}")


def verdict(targets: Sequence[Target], broken: Sequence[str]) -> None:
    heading("Verdict")
    for target in targets:
        sign = "[green]met[/green]" if target.met else "[yellow]missed[/yellow]"
        out.print(f"  {target.id} {target.quantity}: [bold]{target.value:.2f}[/bold], {target.bound_text}: {sign}")
    for text in broken:
        out.print(f"  [red]broken:[/red] {text}", markup=True)
