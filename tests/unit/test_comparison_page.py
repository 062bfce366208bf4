"""docs/comparison.md: every row of a table has all columns, and every number has a source."""

import re
from pathlib import Path

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "comparison.md").read_text()
TABLES, SOURCES = TEXT.split("## Sources")


def test_every_table_lists_the_same_projects() -> None:
    tables = re.split(r"^\|[-|]+\|$", TABLES, flags=re.MULTILINE)[1:]
    projects = [re.findall(r"^\| \**([\w-]+)\** \|", table, re.MULTILINE) for table in tables]
    assert len(projects) == 4
    assert all(names == projects[0] for names in projects)
    assert len(projects[0]) == 8


def test_every_row_has_all_columns() -> None:
    for table in re.findall(r"(?:^\|.*\|\n)+", TABLES, re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_every_number_has_a_source_and_every_source_is_used() -> None:
    used = {int(number) for number in re.findall(r"\[(\d+)\]", TABLES)}
    assert used == {int(number) for number in re.findall(r"^(\d+)\. ", SOURCES, re.MULTILINE)}
