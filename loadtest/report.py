"""How a measurement is shown: facts, tables, marks. Colours only on a terminal."""

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from devtools.invariants import Check
from loadtest.machine import Machine
from loadtest.mark import Mark

out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 120)


_err = Console(stderr=True, highlight=False, soft_wrap=True)


def progress(line: str) -> None:
    """One finished step, on standard error, so that standard output is the result alone."""
    _err.print(f"[dim]{line}[/dim]", markup=True)


def heading(text: str) -> None:
    out.print(f"\n[bold]{text}[/bold]")


def machine(facts: Machine, **further: object) -> None:
    """What a reader must know to judge the figures below it."""
    heading("Machine")
    rows = {
        "processor": f"{facts.cores} x {facts.processor}, {facts.memory_gib} GiB, Linux {facts.kernel}",
        "load before": f"{facts.load} (average of a minute)",
        "versions": f"Python {facts.python}, " + ", ".join(f"{name} {text}" for name, text in facts.libraries.items()),
    }
    table([], [[name.replace("_", " "), str(text)] for name, text in (rows | further).items()])


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """The first column is text, the others are figures when there is a head."""
    shown = Table(box=None, padding=(0, 2, 0, 2), show_header=bool(columns))
    for index, column in enumerate(columns or [""] * len(rows[0])):
        shown.add_column(column, justify="right" if columns and index else "left")
    for row in rows:
        shown.add_row(*row)
    out.print(shown)


def checks(found: Sequence[Check]) -> None:
    """What must hold, whatever the speed."""
    heading("Invariants")
    for check in found:
        sign = "[green]✓[/green]" if check.held else "[red]✗[/red]"
        out.print(f"  {sign} {check.name}: {check.detail}")


def marks(found: Sequence[Mark], broken: Sequence[str]) -> None:
    heading("Verdict")
    for mark in found:
        sign = "[green]met[/green]" if mark.met else "[yellow]missed[/yellow]"
        out.print(f"  {mark.number} {mark.what}: [bold]{mark.value:.2f}[/bold], {mark.wanted}: {sign}")
    for text in broken:
        out.print(f"  [red]broken:[/red] {text}", markup=True)


def write_json(file: Path | None, result: object) -> None:
    if file is not None:
        file.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
