"""The mutants as docs/reliability.md lists them; a test compares."""

from collections.abc import Sequence

from tests.mutants.mutant import Mutant

HEAD = "| mutant | promise that it breaks | how | caught by |\n|---|---|---|---|"


def markdown(mutants: Sequence[Mutant]) -> str:
    """A row for each mutant, in the order given."""
    rows = [
        f"| `{mutant.name}` | {mutant.guarantee} | {mutant.mutation} | {', '.join(map(short, mutant.tests))} |"
        for mutant in mutants
    ]
    return "\n".join([HEAD, *rows])


def short(test: str) -> str:
    """A test without its folders and cases: what `pytest -k` takes."""
    return f"`{test.partition('::')[2].partition('[')[0]}`"
