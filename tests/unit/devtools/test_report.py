import io

import pytest

from warren.progress import ConsoleProgress


def test_plain_lines_without_colour_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    report = ConsoleProgress(stream)
    with report.step("Unpacking [it]") as step:
        step.advance(0.5)
    report.status("Broker: " + "long " * 40)
    lines = stream.getvalue().splitlines()
    assert "\x1b" not in stream.getvalue()
    assert lines[0] == "Unpacking [it] …"
    assert lines[1].startswith("✓ Unpacking [it] (0.")
    assert len(lines) == 3


def test_failed_step_says_so_and_lets_the_error_pass() -> None:
    stream = io.StringIO()
    with pytest.raises(ValueError, match="broken"), ConsoleProgress(stream).step("Building"):
        raise ValueError("broken")
    assert "✗ Building" in stream.getvalue()
