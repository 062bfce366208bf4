"""The command line: help and errors. tests/integration/loadtest runs the commands."""

import pytest

from loadtest import cli

COMMANDS = ("consumer", "effects", "orders", "baseline", "compare", "size", "topology", "chaos")


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["loadtest", *arguments])
        cli.main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command, "--help") == 0
    shown = capsys.readouterr().out
    assert f"python -m loadtest {command}" in shown
    assert "--json" in shown


@pytest.mark.parametrize(
    "arguments",
    [("orders", "--orders", "0"), ("orders", "--profile", "unknown"), ("consumer", "--rounds", "x"), ("nothing",)],
)
def test_an_error_ends_in_one_line_without_a_stack_trace(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) != 0
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out + captured.err
    assert arguments[-1] in captured.out + captured.err
