"""Help shows the examples of a docstring; the parser of the help removes headings that it knows."""

from itertools import pairwise

import pytest
from rich.console import Console

from warren.cli.commands import app


@pytest.mark.parametrize(
    ("command", "example"),
    [
        ("", "warren order place --customer gayal item1 item2 --watch"),
        ("up", "warren up --fresh --port 8090"),
        ("down", "Try: warren down"),
        ("demo", "Try: warren demo --logs"),
        ("failures", "warren failures --state parked"),
        ("top", "warren top --prometheus-url http://localhost:9090 --namespace shop"),
        ("trace", "warren trace 123 --traces-url http://localhost:16686"),
        ("retries list", "warren retries list --queue payment --type 'inventory.*' --since 10m"),
        ("schedule list", "warren schedule list --service order --type 'order.*' --within 10m"),
        ("schedule cancel", "warren schedule cancel --type order.payment_reminder --dry-run"),
        ("schedule send-now", "warren schedule send-now --service order --within 10m"),
        ("order place", "warren order place mug:3 teapot --express --watch"),
        ("order list", "warren order list --state CANCELLED --limit 5"),
        ("order cancel", "warren order cancel 123 --watch"),
    ],
)
def test_examples_are_shown(command: str, example: str, capsys: pytest.CaptureFixture[str]) -> None:
    app([*command.split(), "--help"], result_action="return_value")
    assert example in capsys.readouterr().out


@pytest.mark.parametrize("command", ["trace", "dlq replay"])
@pytest.mark.parametrize("width", [60, 80, 200])
def test_paragraphs_fill_the_width_of_the_terminal(
    command: str, width: int, capsys: pytest.CaptureFixture[str]
) -> None:
    app([*command.split(), "--help"], result_action="return_value", console=Console(width=width))
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0].startswith(f"Usage: warren {command} ")
    assert "Try:" in lines
    paragraphs = lines[2 : lines.index("Try:")]
    for line, after in pairwise(paragraphs):
        if line and after:
            assert len(line) <= width < len(line) + 1 + len(after.split()[0])
