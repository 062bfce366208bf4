"""How the local runner tells a person what it is doing.

On a terminal: spinners and progress bars. Anywhere else (a pipe, CI, `make demo > log`): one plain line per
step, without colour. `NO_COLOR` is respected by both.
"""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

__all__ = ["ConsoleProgress", "ProgressReport", "SilentProgress", "ProgressStep"]


class ProgressStep(Protocol):
    """One piece of work under way."""

    def advance(self, fraction: float, detail: str = "") -> None:
        """`fraction` is 0 to 1 of the whole step. Safe to call from any thread."""


class ProgressReport(Protocol):
    """Told what happens; must be safe to call from several threads at once."""

    def status(self, message: str) -> None:
        """One finished fact worth a line."""

    @contextmanager
    def step(self, message: str) -> Iterator[ProgressStep]:
        """Work that takes time. Leaving it normally reports success; leaving by an error reports failure."""
        raise NotImplementedError


class _NoStep:
    def advance(self, fraction: float, detail: str = "") -> None:
        pass


class SilentProgress:
    """Says nothing: for tests and libraries."""

    def status(self, message: str) -> None:
        pass

    @contextmanager
    def step(self, message: str) -> Iterator[ProgressStep]:
        yield _NoStep()


class ConsoleProgress:
    """Writes to one stream, richly when that is a terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        stream = stream or sys.stderr
        self.console = Console(file=stream, highlight=False, soft_wrap=not stream.isatty())
        self._live = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[detail]}", style="dim"),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._open_steps = 0
        self._lock = threading.Lock()

    def status(self, message: str) -> None:
        self.console.print(message, markup=False)

    @contextmanager
    def step(self, message: str) -> Iterator[ProgressStep]:
        started = time.monotonic()
        if not self.console.is_terminal:
            self.console.print(f"{message} …", markup=False)
        with self._lock:
            self._open_steps += 1
            self._live.start()
        task = self._live.add_task(message, total=None, detail="")
        live = self._live

        class LiveStep:
            def advance(self, fraction: float, detail: str = "") -> None:
                live.update(task, total=1.0, completed=min(max(fraction, 0.0), 1.0), detail=detail)

        failed = True
        try:
            yield LiveStep()
            failed = False
        finally:
            live.remove_task(task)
            with self._lock:
                self._open_steps -= 1
                if not self._open_steps:
                    live.stop()
            mark = "[red]✗[/red]" if failed else "[green]✓[/green]"
            self.console.print(mark, end=" ")
            self.console.print(f"{message} ({time.monotonic() - started:.1f} s)", markup=False)
