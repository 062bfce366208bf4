"""`make mutants`: breaks each guarantee in a copy of the tree, one at a time, and expects the named tests to fail."""

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
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
from tests.installed_packages import InstalledPackages
from tests.mutants.mutant import Mutant, markdown_list, read_all, select
from tests.mutants.patch import MutantError
from tests.mutants.pytest_plugin import PASSED
from tests.mutants.runner import MutantResult, MutantRunner, MutantVerdict, outcomes_of
from tests.mutants.tree import copy_to
from tests.servers import remove_instance, write_addresses
from warren.progress import ProgressReport

app = App(name="python -m tests.mutants", version_flags=[], suppress_keyboard_interrupt=False)
console = Console(highlight=False, soft_wrap=True)


@app.default
def run(
    *,
    only: Annotated[str, Parameter(help="Try only mutants whose name contains this, or one of several words.")] = "",
    installed: Annotated[
        bool, Parameter(help="Install the library and the engine as packages, with each patch.")
    ] = False,
    show: Annotated[bool, Parameter(name="--list", help="Print the lists of docs/reliability.md instead.")] = False,
) -> int:
    """Try every mutant: a patch that breaks one guarantee, in a copy of the tree, and the tests that must notice it.

    The named tests must pass without the patch, and fail by an assertion with it. Exit codes: 0 all mutants are caught,
    1 one survives or does not apply, or a test fails without any patch, 130 interrupted.

    Examples:

        make mutants

        make mutants ONLY=inbox

        python -m tests.mutants --list
    """
    mutants = select(read_all(), only)
    if show:
        console.print(markdown_list(mutants), markup=False)
        return 0
    results = []
    with prepared_runner(installed=installed) as runner:
        passing = run_unchanged(runner, mutants)
        for number, mutant in enumerate(mutants, start=1):
            result = runner.try_mutant(mutant, passing)
            results.append(result)
            colour = "green" if result.verdict is MutantVerdict.CAUGHT else "red"
            verdict = f"[{colour}]{result.verdict:8}[/{colour}]"
            position = f"{number:>{len(str(len(mutants)))}}/{len(mutants)}"
            console.print(f"{position}  {verdict} {result.seconds:5.1f} s  {mutant.name}")
            if result.detail:
                console.print(result.detail, markup=False)
    return summarize(results)


@contextmanager
def prepared_runner(*, installed: bool) -> Iterator[MutantRunner]:
    """A runner with a copy of the tree and private servers, which are removed at the end."""
    instance = instance_dir(f"mutants-{os.getpid()}")
    try:
        with (
            tempfile.TemporaryDirectory(prefix="warren-mutants-") as folder,
            Servers(instance, report=ProgressReport(sys.stdout), fresh=True) as servers,
        ):
            tree = Path(folder) / "tree"
            tree.mkdir()
            file = Path(folder) / "servers.json"
            write_addresses(servers, file)
            copy_to(tree)
            packages = InstalledPackages(Path(folder) / "environment", tree) if installed else None
            yield MutantRunner(tree, file, packages)
    finally:
        remove_instance(instance)


def run_unchanged(runner: MutantRunner, mutants: Sequence[Mutant]) -> set[str]:
    """Run each test once without a patch; returns those that pass."""
    tests = sorted({test for mutant in mutants for test in mutant.tests})
    console.print(f"{len(tests)} tests without a patch …")
    started = time.monotonic()
    report, output = runner.run_tests(tests)
    if report is None or report.foreign:
        console.print(output, markup=False)
        raise MutantError(f"not the copy was tested: {report.foreign[:5]}" if report else "pytest did not run")
    passing = {test for test in tests if set(outcomes_of(test, report)) == {PASSED}}
    if len(passing) < len(tests):
        console.print(output, markup=False)
    console.print(f"{len(passing)} pass, {time.monotonic() - started:.0f} s")
    return passing


def summarize(results: Sequence[MutantResult]) -> int:
    """Print a table of all results; returns the exit code."""
    rows = Table("mutant", "verdict", "seconds", box=None)
    for result in results:
        rows.add_row(result.mutant.name, result.verdict, f"{result.seconds:.1f}")
    console.print(rows)
    caught = sum(result.verdict is MutantVerdict.CAUGHT for result in results)
    console.print(f"{caught} of {len(results)} mutants caught, {sum(result.seconds for result in results):.0f} s")
    return 0 if caught == len(results) else 1


def main() -> None:
    """Run the command; expected errors end in one line without a stack trace."""
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
