"""Progress reports of long commands.

A terminal shows spinners and progress bars. Other outputs (a pipe, CI, `make demo > log`) get one plain line per step.
Both respect `NO_COLOR`.
"""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn


class ProgressStep:
    """One step in progress."""

    def __init__(self, live: Progress, task: TaskID) -> None:
        self._live = live
        self._task = task

    def advance(self, fraction: float, detail: str = "") -> None:
        """Set the completed fraction of the step (0 to 1). Thread-safe."""
        self._live.update(self._task, total=1.0, completed=min(max(fraction, 0.0), 1.0), detail=detail)


class ProgressReport:
    """Reports facts and steps to one stream, with progress bars on a terminal; nothing if `quiet`. Thread-safe."""

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        stream = stream or sys.stderr
        self.console = Console(file=stream, highlight=False, soft_wrap=not stream.isatty(), quiet=quiet)
        self._live = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[detail]}", style="dim"),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=quiet or not self.console.is_terminal,
        )
        self._open_steps = 0
        self._lock = threading.Lock()

    def status(self, message: str) -> None:
        """Report a fact in one line."""
        self.console.print(message, markup=False)

    @contextmanager
    def step(self, message: str) -> Iterator[ProgressStep]:
        """Report a step for a block; an exception reports its failure."""
        started = time.monotonic()
        if not self.console.is_terminal:
            self.console.print(f"{message} …", markup=False)
        with self._lock:
            self._open_steps += 1
            self._live.start()
        task = self._live.add_task(message, total=None, detail="")
        mark = "[red]✗[/red]"
        try:
            yield ProgressStep(self._live, task)
            mark = "[green]✓[/green]"
        finally:
            self._live.remove_task(task)
            with self._lock:
                self._open_steps -= 1
                if not self._open_steps:
                    self._live.stop()
            self.console.print(mark, end=" ")
            self.console.print(f"{message} ({time.monotonic() - started:.1f} s)", markup=False)
