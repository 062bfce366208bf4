"""A mutant is caught by an assertion of every test that it names, and by nothing else. Real runs of pytest."""

import json
import shutil
from pathlib import Path

import pytest

from tests.mutants import witness
from tests.mutants.__main__ import summary, unproven
from tests.mutants.mutant import Mutant
from tests.mutants.patch import FilePatch, Hunk
from tests.mutants.tree import changed
from tests.mutants.trial import Bench, Trial, Verdict, outcomes_of

TESTS = """
import asyncio
import pytest
from counting import count

def test_it_counts():
    assert count(1) == 2

def test_it_does_not_look():
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
def bench(tmp_path: Path) -> Bench:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "counting.py").write_text("def count(n):\n    return n + 1\n")
    (tree / "test_it.py").write_text(TESTS)
    (tree / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n")
    servers = tmp_path / "servers.json"
    servers.write_text(json.dumps({}))
    (tree / "tests" / "mutants").mkdir(parents=True)
    shutil.copy(witness.__file__, tree / "tests" / "mutants")
    return Bench(tree, servers)


def mutant(new: str, *tests: str, old: str = "    return n + 1") -> Mutant:
    return Mutant("area/name", "g", "m", [f"test_it.py::{test}" for test in tests], [change(old, new)])


def change(old: str, new: str) -> FilePatch:
    return FilePatch("counting.py", [Hunk([old], [new])])


@pytest.mark.parametrize(
    ("new", "tests", "verdict", "detail"),
    [
        ("    return n", ["test_it_counts", "test_it_counts_from", "test_two_at_once"], Verdict.CAUGHT, ""),
        ("    return n", ["test_it_counts_from[1]"], Verdict.CAUGHT, ""),
        ("    return n", ["test_it_counts", "test_it_does_not_look"], Verdict.SURVIVED, "test_it_does_not_look"),
        ("    return 1 / 0", ["test_it_counts"], Verdict.BROKEN, "call: ZeroDivisionError"),
        ("    return n", ["test_it_is_set_up"], Verdict.BROKEN, "setup: assert"),
        ("    return n +", ["test_it_counts"], Verdict.BROKEN, "SyntaxError"),
        ("    return n", ["test_nothing_of_that_name"], Verdict.BROKEN, "test_nothing_of_that_name"),
    ],
)
def test_the_verdict(bench: Bench, new: str, tests: list[str], verdict: Verdict, detail: str) -> None:
    trial = bench.try_(mutant(new, *tests))
    assert trial.verdict is verdict, trial.detail
    assert detail in trial.detail


def test_what_does_not_apply_is_no_catch(bench: Bench) -> None:
    trial = bench.try_(mutant("    return n", "test_it_counts", old="    return n + 3"))
    assert (trial.verdict, trial.seconds < 1) == (Verdict.BROKEN, True)
    assert "make the patch anew" in trial.detail


def test_a_module_that_is_not_the_copys_is_no_catch(bench: Bench, tmp_path: Path) -> None:
    tests = (tmp_path / "tree" / "test_it.py").read_text()
    (tmp_path / "tree" / "test_it.py").write_text(f"import devtools.paths\n{tests}")
    trial = bench.try_(mutant("    return n", "test_it_counts"))
    assert trial.verdict is Verdict.BROKEN
    assert "not the copy was tested: " in trial.detail
    assert "devtools.paths" in trial.detail


def test_everything_is_as_before_afterwards(bench: Bench, tmp_path: Path) -> None:
    bench.try_(mutant("    return n", "test_it_counts"))
    assert (tmp_path / "tree" / "counting.py").read_text() == "def count(n):\n    return n + 1\n"
    report, said = bench.run(["test_it.py::test_it_counts"])
    assert report is not None, said
    assert outcomes_of("test_it.py::test_it_counts", report) == ["passed"]


def test_a_file_comes_back_when_the_block_is_left_by_an_error(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("before")
    with pytest.raises(KeyboardInterrupt), changed({file: "after"}):
        assert file.read_text() == "after"
        raise KeyboardInterrupt
    assert file.read_text() == "before"


def test_one_survivor_and_the_run_has_failed() -> None:
    caught = Trial(mutant("    return n", "test_it_counts"), Verdict.CAUGHT, 1.0)
    survived = Trial(mutant("    return n", "test_it_does_not_look"), Verdict.SURVIVED, 1.0)
    assert (summary([caught, caught]), summary([caught, survived])) == (0, 1)


def test_a_test_that_fails_without_any_change_catches_nothing() -> None:
    trial = unproven(mutant("    return n", "test_it_counts", "test_it_counts_from"), {"test_it.py::test_it_counts"})
    assert trial.verdict is Verdict.BROKEN
    assert trial.detail == "does not pass in the unchanged copy: test_it.py::test_it_counts_from"
    assert summary([trial]) == 1
