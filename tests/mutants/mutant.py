"""A mutant: one guarantee of this project, a patch that breaks it, and the tests that must fail then.

A file `tests/mutants/<area>/<name>.patch` begins with a header, one line each (`Test` may be repeated):

    Guarantee: 3. A repeated event has no second effect
    Mutation: the inbox is read and never written
    Test: tests/conformance/test_transactions.py::test_3_a_repeated_event_has_no_second_effect[in memory, on PostgreSQL]

An empty line and the output of `git diff -U1` follow.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from tests.mutants.patch import FilePatch, MalformedMutant, MutantError, PatchDoesNotApply, parse

FOLDER = Path(__file__).resolve().parent


class Mutant(msgspec.Struct, frozen=True):
    name: str
    """`<area>/<name>`"""
    guarantee: str
    mutation: str
    tests: list[str]
    """Each must fail by an assertion."""
    files: list[FilePatch]

    def patched(self, tree: Path) -> dict[Path, str]:
        """The new content of each changed file. Raises PatchDoesNotApply."""
        changed = {}
        for file in self.files:
            path = tree / file.path
            if not path.is_file():
                raise PatchDoesNotApply(f"{self.name}: there is no {file.path}; recreate the patch")
            before = path.read_text()
            try:
                changed[path] = file.applied(before)
            except PatchDoesNotApply as error:
                raise PatchDoesNotApply(f"{self.name}: {error}") from error
            if changed[path] == before:
                raise PatchDoesNotApply(f"{self.name}: changes nothing in {file.path}")
        return changed


def read(file: Path) -> Mutant:
    """Raises MalformedMutant."""
    name = f"{file.parent.name}/{file.stem}"
    lines = file.read_text().removesuffix("\n").split("\n")
    end = lines.index("") if "" in lines else len(lines)
    header: dict[str, list[str]] = {}
    for line in lines[:end]:
        key, _, value = line.partition(": ")
        header.setdefault(key, []).append(value)
    if header.keys() != {"Guarantee", "Mutation", "Test"} or len(header["Guarantee"]) + len(header["Mutation"]) != 2:
        raise MalformedMutant(f"{name}: the header needs one Guarantee, one Mutation and at least one Test")
    try:
        files = parse(lines[end + 1 :])
    except MalformedMutant as error:
        raise MalformedMutant(f"{name}: {error}") from error
    return Mutant(name, header["Guarantee"][0], header["Mutation"][0], header["Test"], files)


def read_all(folder: Path = FOLDER) -> list[Mutant]:
    """Read every mutant, in the order of names. Raises MalformedMutant."""
    return [read(file) for file in sorted(folder.glob("*/*.patch"))]


def select(mutants: list[Mutant], only: str) -> list[Mutant]:
    """Return the mutants whose name contains one of the words in `only`, or all without a word.

    Raises MutantError for a word that no name contains.
    """
    words = only.replace(",", " ").split()
    for word in words:
        if not any(word in mutant.name for mutant in mutants):
            raise MutantError(f"no mutant has {word!r} in its name; `ls tests/mutants/*` shows them all")
    return [mutant for mutant in mutants if not words or any(word in mutant.name for word in words)]


def markdown_list(mutants: Sequence[Mutant]) -> str:
    """The lists of docs/reliability.md, by area and guarantee; a test compares them."""
    lines: list[str] = []
    for area in dict.fromkeys(mutant.name.partition("/")[0] for mutant in mutants):
        lines += [f"### Area `{area}`", ""]
        members = [mutant for mutant in mutants if mutant.name.startswith(f"{area}/")]
        for guarantee in sorted({mutant.guarantee for mutant in members}):
            lines += [f"{guarantee}:", ""]
            lines += [_list_item(mutant) for mutant in members if mutant.guarantee == guarantee]
            lines.append("")
    return "\n".join(lines).rstrip()


def _list_item(mutant: Mutant) -> str:
    """Tests are named without folders and cases, as `pytest -k` accepts them."""
    tests = ", ".join(f"`{test.partition('::')[2].partition('[')[0]}`" for test in mutant.tests)
    return f"- `{mutant.name.partition('/')[2]}`: {mutant.mutation}; {tests}"
