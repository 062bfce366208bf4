"""`make mutants`: breaks every promise in a copy of the tree, one at a time, and sees the named tests fail."""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from devtools.errors import LocalError
from devtools.paths import instance_dir
from devtools.processes.supervisor import sigterm_as_interrupt
from devtools.servers.servers import Servers
from tests.mutants.errors import MutantError
from tests.mutants.mutant import Mutant, chosen, read_all
from tests.mutants.table import markdown
from tests.mutants.tree import copy_to
from tests.mutants.trial import Bench, Trial, Verdict, outcomes_of
from tests.mutants.witness import PASSED
from tests.servers import remove_instance, write_addresses
from warren.progress import ConsoleProgress

app = App(name="python -m tests.mutants", version_flags=[], suppress_keyboard_interrupt=False)
console = Console(highlight=False, soft_wrap=True)


@app.default
def run(
    *,
    only: Annotated[str, Parameter(help="Try only those whose name contains this, or one of several words.")] = "",
    table: Annotated[bool, Parameter(help="Try nothing; print the table of docs/reliability.md.")] = False,
) -> int:
    """Try every mutant: the change that breaks one promise, in a copy of the tree, against the tests that must notice.

    The named tests have to pass without the change and to fail, by an assertion, with it. Exit codes: 0 all are
    caught, 1 one survives or does not apply or a test fails without any change, 130 interrupted.

    Examples:

        make mutants

        make mutants ONLY=inbox

        python -m tests.mutants --table
    """
    mutants = chosen(read_all(), only)
    if table:
        console.print(markdown(mutants), markup=False)
        return 0
    with bench() as ready:
        sound = pass_unchanged(ready, mutants)
        trials = []
        for number, mutant in enumerate(mutants, start=1):
            trials.append(ready.try_(mutant) if sound.issuperset(mutant.tests) else unproven(mutant, sound))
            show(trials[-1], f"{number:>{len(str(len(mutants)))}}/{len(mutants)}")
    return summary(trials)


@contextmanager
def bench() -> Iterator[Bench]:
    """A copy of the tree and servers of its own, both gone in the end."""
    instance = instance_dir(f"mutants-{os.getpid()}")
    try:
        with (
            tempfile.TemporaryDirectory(prefix="warren-mutants-") as folder,
            Servers(instance, report=ConsoleProgress(sys.stdout), fresh=True) as servers,
        ):
            tree = Path(folder) / "tree"
            tree.mkdir()
            file = Path(folder) / "servers.json"
            write_addresses(servers, file)
            yield Bench(copy_to(tree), file)
    finally:
        remove_instance(instance)


def pass_unchanged(ready: Bench, mutants: list[Mutant]) -> set[str]:
    """Run each test once, and return those that pass."""
    tests = sorted({test for mutant in mutants for test in mutant.tests})
    console.print(f"{len(tests)} tests without any change …")
    started = time.monotonic()
    report, said = ready.run(tests)
    if report is None or report.foreign:
        console.print(said, markup=False)
        raise MutantError(f"not the copy was tested: {report.foreign[:5]}" if report else "pytest did not run")
    passed = {test for test in tests if set(outcomes_of(test, report)) == {PASSED}}
    if len(passed) < len(tests):
        console.print(said, markup=False)
    console.print(f"{len(passed)} pass, {time.monotonic() - started:.0f} s")
    return passed


def unproven(mutant: Mutant, sound: set[str]) -> Trial:
    """What fails without any change proves nothing when it fails with one."""
    failed = [test for test in mutant.tests if test not in sound]
    return Trial(mutant, Verdict.BROKEN, 0.0, f"does not pass in the unchanged copy: {', '.join(failed)}")


def show(trial: Trial, place: str) -> None:
    colour = "green" if trial.verdict is Verdict.CAUGHT else "red"
    console.print(f"{place}  [{colour}]{trial.verdict:8}[/{colour}] {trial.seconds:5.1f} s  {trial.mutant.name}")
    if trial.detail:
        console.print(trial.detail, markup=False)


def summary(trials: list[Trial]) -> int:
    rows = Table("mutant", "verdict", "seconds", box=None)
    for trial in trials:
        rows.add_row(trial.mutant.name, trial.verdict, f"{trial.seconds:.1f}")
    console.print(rows)
    caught = sum(trial.verdict is Verdict.CAUGHT for trial in trials)
    seconds = sum(trial.seconds for trial in trials)
    console.print(f"{caught} of {len(trials)} mutants caught, {seconds:.0f} s")
    return 0 if caught == len(trials) else 1


def main() -> None:
    """Entry point: mistakes of the user end in one line, never in a stack trace."""
    try:
        with sigterm_as_interrupt():
            code = app(sys.argv[1:])
    except (MutantError, LocalError, OSError) as error:
        Console(stderr=True, highlight=False).print(f"[red]mutants:[/red] {escape(str(error))}", soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        console.print("interrupted")
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
