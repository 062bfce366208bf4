"""A mutant is caught only by an assertion of each test that it names. These tests run pytest."""

import json
import shutil
from pathlib import Path

import pytest

from tests import module_origins
from tests.mutants import pytest_plugin
from tests.mutants.__main__ import summarize
from tests.mutants.mutant import Mutant
from tests.mutants.patch import FilePatch, Hunk
from tests.mutants.runner import MutantResult, MutantRunner, MutantVerdict, outcomes_of
from tests.mutants.tree import changed

TESTS = """
import asyncio
import pytest
from counting import count

def test_it_counts():
    assert count(1) == 2

def test_no_assertion():
    count(1)

@pytest.mark.parametrize("n", [0, 1])
def test_it_counts_from(n):
    assert count(n) == n + 1

@pytest.fixture
def counted():
    assert count(1) == 2

def test_it_is_set_up(counted):
    pass

async def test_two_at_once():
    async def one(n):
        assert count(n) == n + 1
    async with asyncio.TaskGroup() as group:
        group.create_task(one(1))
        group.create_task(one(2))
"""


@pytest.fixture
def runner(tmp_path: Path) -> MutantRunner:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "counting.py").write_text("def count(n):\n    return n + 1\n")
    (tree / "test_it.py").write_text(TESTS)
    (tree / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n")
    servers = tmp_path / "servers.json"
    servers.write_text(json.dumps({}))
    (tree / "tests" / "mutants").mkdir(parents=True)
    shutil.copy(pytest_plugin.__file__, tree / "tests" / "mutants")
    shutil.copy(module_origins.__file__, tree / "tests")
    return MutantRunner(tree, servers)


def mutant(new: str, *tests: str, old: str = "    return n + 1") -> Mutant:
    return Mutant("area/name", "g", "m", [f"test_it.py::{test}" for test in tests], [change(old, new)])


def change(old: str, new: str) -> FilePatch:
    return FilePatch("counting.py", [Hunk([old], [new])])


@pytest.mark.parametrize(
    ("new", "tests", "verdict", "detail"),
    [
        ("    return n", ["test_it_counts", "test_it_counts_from", "test_two_at_once"], MutantVerdict.CAUGHT, ""),
        ("    return n", ["test_it_counts_from[1]"], MutantVerdict.CAUGHT, ""),
        ("    return n", ["test_it_counts", "test_no_assertion"], MutantVerdict.SURVIVED, "test_no_assertion"),
        ("    return 1 / 0", ["test_it_counts"], MutantVerdict.BROKEN, "call: ZeroDivisionError"),
        ("    return n", ["test_it_is_set_up"], MutantVerdict.BROKEN, "setup: assert"),
        ("    return n +", ["test_it_counts"], MutantVerdict.BROKEN, "SyntaxError"),
        ("    return n", ["test_nothing_of_that_name"], MutantVerdict.BROKEN, "test_nothing_of_that_name"),
    ],
)
def test_the_verdict(runner: MutantRunner, new: str, tests: list[str], verdict: MutantVerdict, detail: str) -> None:
    result = runner.try_mutant(mutant(new, *tests))
    assert result.verdict is verdict, result.detail
    assert detail in result.detail


def test_a_patch_that_does_not_apply_is_broken(runner: MutantRunner) -> None:
    result = runner.try_mutant(mutant("    return n", "test_it_counts", old="    return n + 3"))
    assert (result.verdict, result.seconds < 1) == (MutantVerdict.BROKEN, True)
    assert "recreate the patch" in result.detail


def test_a_module_from_outside_of_the_copy_is_broken(runner: MutantRunner, tmp_path: Path) -> None:
    tests = (tmp_path / "tree" / "test_it.py").read_text()
    (tmp_path / "tree" / "test_it.py").write_text(f"import devtools.paths\n{tests}")
    result = runner.try_mutant(mutant("    return n", "test_it_counts"))
    assert result.verdict is MutantVerdict.BROKEN
    assert "not the copy was tested: " in result.detail
    assert "devtools.paths" in result.detail


def test_files_are_restored_after_a_mutant(runner: MutantRunner, tmp_path: Path) -> None:
    runner.try_mutant(mutant("    return n", "test_it_counts"))
    assert (tmp_path / "tree" / "counting.py").read_text() == "def count(n):\n    return n + 1\n"
    report, output = runner.run_tests(["test_it.py::test_it_counts"])
    assert report is not None, output
    assert outcomes_of("test_it.py::test_it_counts", report) == ["passed"]


def test_files_are_restored_after_an_error(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("before")
    with pytest.raises(KeyboardInterrupt), changed({file: "after"}):
        assert file.read_text() == "after"
        raise KeyboardInterrupt
    assert file.read_text() == "before"


def test_one_survivor_fails_the_run() -> None:
    caught = MutantResult(mutant("    return n", "test_it_counts"), MutantVerdict.CAUGHT, 1.0)
    survived = MutantResult(mutant("    return n", "test_no_assertion"), MutantVerdict.SURVIVED, 1.0)
    assert (summarize([caught, caught]), summarize([caught, survived])) == (0, 1)


def test_a_test_that_fails_without_a_patch_catches_nothing(runner: MutantRunner) -> None:
    wanted = mutant("    return n", "test_it_counts", "test_it_counts_from")
    result = runner.try_mutant(wanted, passing={"test_it.py::test_it_counts"})
    assert result.verdict is MutantVerdict.BROKEN
    assert result.detail == "does not pass in the unchanged copy: test_it.py::test_it_counts_from"
    assert summarize([result]) == 1
