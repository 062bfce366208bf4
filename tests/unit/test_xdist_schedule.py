from pathlib import Path

from tests.xdist_schedule import START_ORDER, WORKER_GROUPS, start_rank, work_unit

ROOT = Path(__file__).parents[2]


def test_tests_of_a_whole_system_run_on_one_worker() -> None:
    units = {
        work_unit(str(file.relative_to(ROOT))) for name in WORKER_GROUPS for file in (ROOT / name).glob("test_*.py")
    }
    assert units == set(WORKER_GROUPS.values())
    assert work_unit("tests/unit/test_any.py::test[a::b]") == "tests/unit/test_any.py"


def test_the_slowest_units_start_first_and_every_named_folder_exists() -> None:
    assert [start_rank(each) for each in START_ORDER] == list(range(len(START_ORDER)))
    assert start_rank("tests/unit/test_any.py") == len(START_ORDER)
    named = {*WORKER_GROUPS, *START_ORDER} - set(WORKER_GROUPS.values())
    assert [each for each in named if not (ROOT / each).exists()] == []
