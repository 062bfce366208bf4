"""How tests are shared out among workers."""

from pathlib import Path

from tests.schedule import FIRST, TOGETHER, rank, unit

ROOT = Path(__file__).parents[2]


def test_a_whole_system_belongs_to_one_worker() -> None:
    ours = {unit(str(file.relative_to(ROOT))) for name in TOGETHER for file in (ROOT / name).glob("test_*.py")}
    assert ours == set(TOGETHER.values())
    assert unit("tests/unit/test_schedule.py::test[a::b]") == "tests/unit/test_schedule.py"


def test_what_takes_long_begins_first_and_everything_named_exists() -> None:
    assert [rank(each) for each in FIRST] == list(range(len(FIRST)))
    assert rank("tests/unit/test_schedule.py") == len(FIRST)
    named = {*TOGETHER, *FIRST} - set(TOGETHER.values())
    assert [each for each in named if not (ROOT / each).exists()] == []
