"""Help shows the examples of a docstring; the parser of the help removes headings that it knows."""

import pytest

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
