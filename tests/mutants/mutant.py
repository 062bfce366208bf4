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
    """Those whose name contains `only`. Raises MutantError when there is none."""
    found = [mutant for mutant in mutants if only in mutant.name]
    if not found:
        raise MutantError(f"no mutant has {only!r} in its name; `ls tests/mutants/*` shows them all")
    return found
