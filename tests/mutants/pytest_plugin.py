"""Plugin of the pytest runs on mutants (`-p tests.mutants.pytest_plugin`): records how each test ended.

A test catches a mutant only by an assertion in its own run. A failed import, a broken fixture or a timeout proves
nothing about the guarantee.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.module_origins import foreign_modules

REPORT_VARIABLE = "WARREN_MUTANT_REPORT"
PASSED, ASSERTED, BROKE = "passed", "asserted", "broke"


class PytestReport(msgspec.Struct):
    """`tests` are outcomes by node id; `foreign` are modules of this project from elsewhere than they should be."""

    tests: dict[str, str] = {}
    reasons: dict[str, str] = {}
    foreign: list[str] = []


_report = PytestReport()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    result = yield
    if call.excinfo is not None:
        asserted = call.when == "call" and _is_assertion(call.excinfo.value)
        if _report.tests.get(item.nodeid) != BROKE:
            _report.tests[item.nodeid] = ASSERTED if asserted else BROKE
            _report.reasons[item.nodeid] = f"{call.when}: {call.excinfo.exconly(tryshort=True)}"[:400]
    elif call.when == "call":
        _report.tests.setdefault(item.nodeid, PASSED)
    return result


def pytest_sessionfinish(session: pytest.Session) -> None:
    _report.foreign = foreign_modules(Path.cwd().resolve())
    Path(os.environ[REPORT_VARIABLE]).write_bytes(msgspec.json.encode(_report))


def _is_assertion(error: Any) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_is_assertion(each) for each in error.exceptions)
    if isinstance(error, pytest.fail.Exception):
        return not str(error).startswith("Timeout")  # of pytest-timeout; "DID NOT RAISE" is an assertion
    return isinstance(error, AssertionError)
