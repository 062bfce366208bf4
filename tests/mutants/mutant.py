"""A mutant: one promise of this project, the change that breaks it, and the tests that must notice.

A file `tests/mutants/<area>/<name>.patch` begins with a header, one line each (`Test` may be repeated):

    Guarantee: 3. A repeated event has no second effect
    Mutation: the inbox is asked and never written
    Test: tests/conformance/test_transactions.py::test_3_a_repeated_event_has_no_second_effect[in memory, on PostgreSQL]

then comes an empty line and what `git diff -U1` prints.
"""

from pathlib import Path

import msgspec

from tests.mutants.errors import DoesNotApply, MalformedMutant, MutantError
from tests.mutants.patch import FilePatch, parse

FOLDER = Path(__file__).resolve().parent


class Mutant(msgspec.Struct, frozen=True):
    name: str
    """`<area>/<name>`"""
    guarantee: str
    mutation: str
    tests: list[str]
    """Each must fail by an assertion."""
    files: list[FilePatch]

    def sources(self, tree: Path) -> dict[Path, str]:
        """The new content of each file that is changed. Raises DoesNotApply."""
        changed = {}
        for file in self.files:
            path = tree / file.path
            if not path.is_file():
                raise DoesNotApply(f"{self.name}: there is no {file.path}; make the patch anew")
            before = path.read_text()
            try:
                changed[path] = file.applied(before)
            except DoesNotApply as error:
                raise DoesNotApply(f"{self.name}: {error}") from error
            if changed[path] == before:
                raise DoesNotApply(f"{self.name}: changes nothing in {file.path}")
        return changed


def read(file: Path) -> Mutant:
    """Raises MalformedMutant."""
    name = f"{file.parent.name}/{file.stem}"
    lines = file.read_text().removesuffix("\n").split("\n")
    end = lines.index("") if "" in lines else len(lines)
    said: dict[str, list[str]] = {}
    for line in lines[:end]:
        key, _, value = line.partition(": ")
        said.setdefault(key, []).append(value)
    if said.keys() != {"Guarantee", "Mutation", "Test"} or len(said["Guarantee"]) + len(said["Mutation"]) != 2:
        raise MalformedMutant(f"{name}: the header needs one Guarantee, one Mutation and at least one Test")
    try:
        files = parse(lines[end + 1 :])
    except MalformedMutant as error:
        raise MalformedMutant(f"{name}: {error}") from error
    return Mutant(name, said["Guarantee"][0], said["Mutation"][0], said["Test"], files)


def read_all(folder: Path = FOLDER) -> list[Mutant]:
    """Every mutant, by name. Raises MalformedMutant."""
    return [read(file) for file in sorted(folder.glob("*/*.patch"))]


def chosen(mutants: list[Mutant], only: str) -> list[Mutant]:
    """Those whose name contains one of the words in `only`, all if there is no word. Raises MutantError for a word
    that no name contains."""
    words = only.replace(",", " ").split()
    for word in words:
        if not any(word in mutant.name for mutant in mutants):
            raise MutantError(f"no mutant has {word!r} in its name; `ls tests/mutants/*` shows them all")
    return [mutant for mutant in mutants if not words or any(word in mutant.name for word in words)]
