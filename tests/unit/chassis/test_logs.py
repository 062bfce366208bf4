"""Lines of a real process, in both formats: its own, those of libraries, warnings and uncaught errors."""

import json
import os
import pty
import re
import subprocess
import sys
from typing import Any

import pytest

from devtools.paths import CHECKOUT

PROGRAM = """
import asyncio, logging, sys, threading, warnings
import structlog
from services.shared.chassis import logs
from services.shared.chassis.http.application import HttpApplication

logs.configure("probe", log_format=sys.argv[1], level=sys.argv[2])
HttpApplication([], openapi_config=None)  # Litestar must not configure logging
fields = {"event_type": "order.created", "announced": "inventory.reserved", "reference": "A-1", "subject": "s-1"}
structlog.get_logger().info("delivery processed", **fields, event_id="e-1", trace_id="t-1", ms=3.1, nothing=None)
logging.getLogger("httpx").info("POST https://gateway.example/?number=%s", "secret")
logging.getLogger("aiormq.connection").error("lost", exc_info=OSError("lost"))
logging.getLogger("kopf").warning("two\\nlines for %s", "you")
warnings.warn("old", DeprecationWarning)
async def fail(): raise ValueError("no article 'x'")
async def main():
    asyncio.create_task(fail())
    await asyncio.sleep(0.01)
    import gc; gc.collect()
asyncio.run(main())
thread = threading.Thread(target=lambda: {}["missing"])
thread.start(); thread.join()
raise RuntimeError("mail for ada@example.com")
"""
SHOWN_WITHOUT_NAME = {"timestamp", "level", "service", "event", "event_type", "announced", "exception"}


def environment(**variables: str) -> dict[str, str]:
    path = os.pathsep.join(str(CHECKOUT / part) for part in (".", "services/shared/messaging"))
    return {"PYTHONPATH": path, "PATH": os.environ["PATH"], "TERM": "xterm", **variables}


def output(log_format: str, level: str = "debug") -> str:
    command = [sys.executable, "-W", "always", "-c", PROGRAM, log_format, level]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (1, "")
    return done.stdout


@pytest.fixture(scope="module")
def lines() -> list[dict[str, Any]]:
    return [json.loads(line) for line in output("json").splitlines()]


def test_every_line_is_a_json_object_with_the_common_fields(lines: list[dict[str, Any]]) -> None:
    assert [(each["level"], each["event"]) for each in lines[:2]] == [
        ("info", "delivery processed"),
        ("warning", "two\nlines for you"),
    ]
    for each in lines:
        assert each["service"] == "probe"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", each["timestamp"])
        assert {"level", "event"} <= each.keys()
    assert lines[0] == lines[0] | {"reference": "A-1", "event_id": "e-1", "trace_id": "t-1", "ms": 3.1}
    assert "nothing" not in lines[0]


def test_lines_of_libraries_name_their_logger_and_are_limited_to_warnings(lines: list[dict[str, Any]]) -> None:
    assert [each["logger"] for each in lines if "logger" in each] == ["kopf", "py.warnings", "asyncio"]


def test_uncaught_errors_are_one_line_each_with_their_stack_trace(lines: list[dict[str, Any]]) -> None:
    found = [each for each in lines if "exception" in each]
    assert [each["exception"].splitlines()[-1] for each in found] == [
        "ValueError: no article 'x'",
        "KeyError: 'missing'",
        "RuntimeError: mail for ***",
    ]
    assert [each["event"] for each in found[1:]] == ["uncaught error"] * 2
    assert all(each["exception"].startswith("Traceback") for each in found)


def test_a_console_line_has_the_same_fields(lines: list[dict[str, Any]]) -> None:
    first = output("console").splitlines()[0]
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d\.\d{3} probe        delivery processed order\.created -> inventory\.reserved  reference=A-1"
        r" subject=s-1 event_id=e-1 trace_id=t-1 ms=3\.1",
        first,
    )
    assert set(re.findall(r"(\w+)=", first)) == lines[0].keys() - SHOWN_WITHOUT_NAME


def test_a_level_above_info_writes_no_line_for_a_message() -> None:
    assert "delivery processed" not in output("json", "warning")


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_lines_have_colours_on_a_terminal_unless_they_are_refused(variables: dict[str, str], coloured: bool) -> None:
    controller, terminal = pty.openpty()
    command = [sys.executable, "-c", PROGRAM.split("async def", maxsplit=1)[0], "console", "info"]
    with os.fdopen(controller, "rb") as reader:
        subprocess.run(command, env=environment(**variables), stdout=terminal, check=True, timeout=60)
        os.close(terminal)
        first = reader.readline().decode()
    assert ("\x1b[" in first) == coloured
    assert "delivery processed" in first
