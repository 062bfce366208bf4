"""Progress reports of long commands.

A terminal shows spinners and progress bars. Other outputs (a pipe, CI, `make demo > log`) get one plain line per step.
Both respect `NO_COLOR`.
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
    """One step in progress."""

    def advance(self, fraction: float, detail: str = "") -> None:
        """Set the completed fraction of the step (0 to 1). Thread-safe."""


class ProgressReport(Protocol):
    """Receives facts and steps; must be thread-safe."""

    def status(self, message: str) -> None:
        """Report a fact in one line."""

    @contextmanager
    def step(self, message: str) -> Iterator[ProgressStep]:
        """Report a step for a block; an exception reports its failure."""
        raise NotImplementedError


class _NoStep:
    def advance(self, fraction: float, detail: str = "") -> None:
        pass


class SilentProgress:
    """Reports nothing."""

    def status(self, message: str) -> None:
        pass

    @contextmanager
    def step(self, message: str) -> Iterator[ProgressStep]:
        yield _NoStep()


class ConsoleProgress:
    """Reports to one stream, with progress bars if it is a terminal."""

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
