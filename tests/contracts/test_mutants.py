"""Each mutant's patch applies, its tests exist, and docs/reliability.md lists it.

`make mutants` shows that the tests detect them.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants.mutant import FOLDER, Mutant, markdown_list, read_all

ROOT = Path(__file__).resolve().parents[2]
MUTANTS = read_all()


def test_every_area_has_mutants() -> None:
    assert {mutant.name.partition("/")[0] for mutant in MUTANTS} == {"library", "saga", "topology"}
    assert len(MUTANTS) == len(list(FOLDER.rglob("*.patch")))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_patch_of_a_mutant_applies_and_the_result_is_valid_python(mutant: Mutant) -> None:
    for file, text in mutant.patched(ROOT).items():
        assert file.read_text() != text
        if file.suffix == ".py":
            compile(text, file, "exec")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_changes_only_product_files(mutant: Mutant) -> None:
    assert {file.path.partition("/")[0] for file in mutant.files} <= {"services", "operator", "charts"}


def test_the_tests_of_the_mutants_exist() -> None:
    tests = sorted({test for mutant in MUTANTS for test in mutant.tests})
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-m", "", *tests]
    collected = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert collected.returncode == 0, collected.stdout[-2000:] + collected.stderr[-2000:]


def test_every_guarantee_of_the_library_has_a_mutant() -> None:
    guarantees = {mutant.guarantee[0] for mutant in MUTANTS if mutant.name.startswith("library/")}
    assert guarantees >= set("1234567")


def test_the_reliability_page_lists_all_mutants() -> None:
    document = (ROOT / "docs" / "reliability.md").read_text()
    assert markdown_list(MUTANTS) in document, "replace the list by the output of `python -m tests.mutants --list`"
