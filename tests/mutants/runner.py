"""Runs pytest in the copy, and decides whether a mutant is caught."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

import msgspec

from devtools.distributions.build import FOLDERS
from tests.installed_packages import InstalledPackages
from tests.mutants import pytest_plugin
from tests.mutants.mutant import Mutant
from tests.mutants.patch import PatchDoesNotApply
from tests.mutants.pytest_plugin import ASSERTED, PASSED, PytestReport
from tests.mutants.tree import changed
from tests.servers import ADDRESSES_VARIABLE

TIME_LIMIT = 300.0  # seconds, for one run of pytest on a mutant


class MutantVerdict(StrEnum):
    CAUGHT = "caught"
    SURVIVED = "SURVIVED"
    """A named test passes: it does not notice that the guarantee is broken."""
    BROKEN = "BROKEN"
    """The patch does not apply, or a test fails for another reason than an assertion."""


class MutantResult(msgspec.Struct, frozen=True):
    mutant: Mutant
    verdict: MutantVerdict
    seconds: float
    detail: str = ""


class MutantRunner:
    """Tries mutants in `tree`, on the servers whose addresses are in the file `servers`.

    With `installed`, an environment of this tree, the patched packages are built and installed again for each mutant.
    """

    def __init__(self, tree: Path, servers: Path, installed: InstalledPackages | None = None) -> None:
        self._tree = tree
        self._installed = installed
        self._changed: set[str] = set()
        self._python = str(installed.python) if installed else sys.executable
        self._report = servers.with_name("report.json")
        # The installed packages are those of the checkout; these folders come before them.
        folders = (".",) if installed else (".", *FOLDERS.values())
        self._environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(str(tree / folder) for folder in folders),
            ADDRESSES_VARIABLE: str(servers),
            pytest_plugin.REPORT_VARIABLE: str(self._report),
        }
        if installed:
            self._environment |= installed.variables

    def run_tests(self, tests: Sequence[str], time_limit: float | None = None) -> tuple[PytestReport | None, str]:
        """Returns the report, None when pytest did not start, and pytest's output."""
        self._report.unlink(missing_ok=True)
        command = [self._python, "-m", "pytest", "-p", pytest_plugin.__name__, "-p", "no:cacheprovider"]
        command += ["-q", "--tb=short", "--override-ini=addopts=--import-mode=importlib"]
        command += ["--override-ini=pythonpath=.", *tests] if self._installed else tests
        process = subprocess.Popen(
            command,
            cwd=self._tree,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,  # so that Ctrl-C reaches the runner alone
        )
        try:
            output, _ = process.communicate(timeout=time_limit)
        except subprocess.TimeoutExpired:
            output = f"no end within {time_limit:.0f} s"
        finally:
            _end(process)
        if not self._report.exists():
            return None, output
        return msgspec.json.decode(self._report.read_bytes(), type=PytestReport), output

    def try_mutant(self, mutant: Mutant, passing: Collection[str] | None = None) -> MutantResult:
        """Apply the patch, run the named tests, and restore the files.

        `passing` are the tests that pass without a change; a test that fails without one proves nothing.
        """
        started = time.monotonic()
        verdict, detail = self._verdict(mutant, mutant.tests if passing is None else passing)
        return MutantResult(mutant, verdict, time.monotonic() - started, detail)

    def _install(self, mutant: Mutant) -> None:
        """Install the packages that the patch changes, and those that the one before it has changed."""
        if self._installed is None:
            return
        paths = [file.path for file in mutant.files]
        changed = {name for name, folder in FOLDERS.items() if any(path.startswith(f"{folder}/") for path in paths)}
        if names := changed | self._changed:
            self._installed.install(sorted(names))
        self._changed = changed

    def _verdict(self, mutant: Mutant, passing: Collection[str]) -> tuple[MutantVerdict, str]:
        if failing := [test for test in mutant.tests if test not in passing]:
            return MutantVerdict.BROKEN, f"does not pass in the unchanged copy: {', '.join(failing)}"
        try:
            with changed(mutant.patched(self._tree)):
                self._install(mutant)
                report, output = self.run_tests(mutant.tests, TIME_LIMIT)
        except PatchDoesNotApply as error:
            return MutantVerdict.BROKEN, str(error)
        return _judge(mutant, report, output)


def _judge(mutant: Mutant, report: PytestReport | None, output: str) -> tuple[MutantVerdict, str]:
    if report is None or not report.tests:
        return MutantVerdict.BROKEN, f"no test ran:\n{output[-3000:]}"
    if report.foreign:
        return MutantVerdict.BROKEN, f"not the copy was tested: {', '.join(report.foreign[:5])}"
    uncaught = {test: outcomes_of(test, report) for test in mutant.tests}
    uncaught = {test: outcomes for test, outcomes in uncaught.items() if ASSERTED not in outcomes}
    if survived := [test for test, outcomes in uncaught.items() if set(outcomes) == {PASSED}]:
        return MutantVerdict.SURVIVED, f"passes all the same: {', '.join(survived)}"
    if uncaught:
        reasons = [f"{test}: {reason}" for test, reason in report.reasons.items()]
        return MutantVerdict.BROKEN, "not by an assertion: " + ("; ".join(reasons) or output[-3000:])
    return MutantVerdict.CAUGHT, ""


def outcomes_of(test: str, report: PytestReport) -> list[str]:
    """The outcomes of a test, or of all its cases when none is named."""
    return [outcome for node, outcome in report.tests.items() if node == test or node.startswith(f"{test}[")]


def _end(process: subprocess.Popen[str], seconds: float = 10.0) -> None:
    """End the process and all its children; as after Ctrl-C, tests may clean up first."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=seconds)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
