import io

import pytest

from warren.progress import ProgressReport


def test_without_a_terminal_progress_is_plain_lines() -> None:
    stream = io.StringIO()
    report = ProgressReport(stream)
    with report.step("Unpacking [it]") as step:
        step.advance(0.5)
    report.status("Broker: " + "long " * 40)
    lines = stream.getvalue().splitlines()
    assert "\x1b" not in stream.getvalue()
    assert lines[0] == "Unpacking [it] …"
    assert lines[1].startswith("✓ Unpacking [it] (0.")
    assert len(lines) == 3


def test_a_failed_step_is_reported_and_the_error_passes() -> None:
    stream = io.StringIO()
    with pytest.raises(ValueError, match="broken"), ProgressReport(stream).step("Building"):
        raise ValueError("broken")
    assert "✗ Building" in stream.getvalue()
