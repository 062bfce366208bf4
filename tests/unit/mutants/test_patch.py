"""Patches are applied by their content, and refused when that is ambiguous."""

from pathlib import Path

import pytest

from tests.mutants.mutant import read, read_all, select
from tests.mutants.patch import MalformedMutant, MutantError, PatchDoesNotApply

HEADER = "Guarantee: It counts\nMutation: it does not\nTest: test_a.py::test_it\n"
DIFF = "--- a/a.py\n+++ b/a.py\n@@ -90,3 +90,3 @@\n def count(n):\n-    return n + 1\n+    return n\n \n"
SOURCE = "import os\n\n\ndef count(n):\n    return n + 1\n\n\ndef other(n):\n    return n + 1\n"


def patch(folder: Path, text: str) -> Path:
    (folder / "area").mkdir(exist_ok=True)
    file = folder / "area" / "name.patch"
    file.write_text(text)
    return file


def test_a_hunk_is_found_at_any_line_number(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("# new\n" * 50 + SOURCE)
    mutant = read(patch(tmp_path, f"{HEADER}\n{DIFF}"))
    assert (mutant.name, mutant.guarantee, mutant.mutation) == ("area/name", "It counts", "it does not")
    assert mutant.tests == ["test_a.py::test_it"]
    wanted = "# new\n" * 50 + SOURCE.replace("return n + 1", "return n", 1)
    assert mutant.patched(tmp_path) == {tmp_path / "a.py": wanted}


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (SOURCE.replace("n + 1", "n + 2"), "hunk 1 matches no place in a.py; recreate the patch"),
        (SOURCE + SOURCE, "hunk 1 matches 2 places in a.py; recreate the patch"),
        (None, "there is no a.py; recreate the patch"),
    ],
)
def test_a_patch_must_match_exactly_one_place(tmp_path: Path, source: str | None, reason: str) -> None:
    if source is not None:
        (tmp_path / "a.py").write_text(source)
    with pytest.raises(PatchDoesNotApply, match=f"^area/name: {reason}$"):
        read(patch(tmp_path, f"{HEADER}\n{DIFF}")).patched(tmp_path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (DIFF, "the header needs one Guarantee, one Mutation and at least one Test"),
        (f"{HEADER}Guarantee: two\n\n{DIFF}", "the header needs one Guarantee"),
        (HEADER, "no diff, or one without lines of context"),
        (f"{HEADER}\n{DIFF}rubbish\n", "not a line of a unified diff: 'rubbish'"),
        (f"{HEADER}\n--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n+new\n", "no diff, or one without lines of context"),
    ],
)
def test_a_malformed_file_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(MalformedMutant, match=f"^area/name: {reason}"):
        read(patch(tmp_path, text))


def test_mutants_are_selected_by_words() -> None:
    mutants = read_all()
    assert select(mutants, "") == mutants
    assert [mutant.name for mutant in select(mutants, "inbox-not-written, express-waits")] == [
        "library/inbox-not-written",
        "saga/express-waits",
    ]
    with pytest.raises(MutantError, match="no mutant has 'nonsense' in its name"):
        select(mutants, "inbox nonsense")
