"""One run of pytest in the copy, and the verdict on a mutant."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

import msgspec

from tests.mutants import witness
from tests.mutants.errors import DoesNotApply
from tests.mutants.mutant import Mutant
from tests.mutants.tree import changed
from tests.mutants.witness import ASSERTED, PASSED, Report
from tests.servers import ADDRESSES_VARIABLE

TIME_LIMIT = 300.0  # seconds, for one run of pytest on a mutant


class Verdict(StrEnum):
    CAUGHT = "caught"
    SURVIVED = "SURVIVED"
    """A named test passes: it does not see that the promise is broken."""
    BROKEN = "BROKEN"
    """The patch does not apply, or the tests fail for another reason than an assertion."""


class Trial(msgspec.Struct, frozen=True):
    mutant: Mutant
    verdict: Verdict
    seconds: float
    detail: str = ""


class Bench:
    """A tree and servers to try mutants on."""

    def __init__(self, tree: Path, servers: Path) -> None:
        self._tree = tree
        self._report = servers.with_name("report.json")
        # The environment's own path leads to the checkout; these come before it.
        path = os.pathsep.join(str(tree / part) for part in (".", "operator", "services/shared/messaging"))
        self._environment = os.environ | {
            "PYTHONPATH": path,
            ADDRESSES_VARIABLE: str(servers),
            witness.VARIABLE: str(self._report),
        }

    def run(self, tests: Sequence[str], time_limit: float | None = None) -> tuple[Report | None, str]:
        """What became of the tests, None when they did not even start; and what pytest said."""
        self._report.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pytest", "-p", "tests.mutants.witness", "-p", "no:cacheprovider"]
        command += ["-q", "--tb=short", "--override-ini=addopts=--import-mode=importlib", *tests]
        process = subprocess.Popen(
            command,
            cwd=self._tree,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,  # Ctrl-C is for the runner alone
        )
        try:
            said, _ = process.communicate(timeout=time_limit)
        except subprocess.TimeoutExpired:
            said = f"no end within {time_limit:.0f} s"
        finally:
            end(process)
        if not self._report.exists():
            return None, said
        return msgspec.json.decode(self._report.read_bytes(), type=Report), said

    def try_(self, mutant: Mutant) -> Trial:
        """Apply, run the named tests, take back."""
        started = time.monotonic()

        def trial(verdict: Verdict, detail: str = "") -> Trial:
            return Trial(mutant, verdict, time.monotonic() - started, detail)

        try:
            sources = mutant.sources(self._tree)
        except DoesNotApply as error:
            return trial(Verdict.BROKEN, str(error))
        with changed(sources):
            report, said = self.run(mutant.tests, TIME_LIMIT)
        if report is None or not report.tests:
            return trial(Verdict.BROKEN, f"no test ran:\n{said[-3000:]}")
        if report.foreign:
            return trial(Verdict.BROKEN, f"not the copy was tested: {', '.join(report.foreign[:5])}")
        survivors: list[str] = []
        others: list[str] = []
        for test in mutant.tests:
            outcomes = outcomes_of(test, report)
            if ASSERTED in outcomes:
                continue
            (survivors if set(outcomes) == {PASSED} else others).append(test)
        if survivors:
            return trial(Verdict.SURVIVED, f"passes all the same: {', '.join(survivors)}")
        if others:
            reasons = [f"{test}: {reason}" for test, reason in report.reasons.items()]
            return trial(Verdict.BROKEN, "not by an assertion: " + ("; ".join(reasons) or said[-3000:]))
        return trial(Verdict.CAUGHT)


def outcomes_of(test: str, report: Report) -> list[str]:
    """Of a test, or of all its cases when none is named."""
    return [outcome for node, outcome in report.tests.items() if node == test or node.startswith(f"{test}[")]


def end(process: subprocess.Popen[str], seconds: float = 10.0) -> None:
    """Of it and what it has started, nothing is left; as after Ctrl-C, tests may tidy up before."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=seconds)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
