"""The command line: help and mistakes. What the commands do is tested on the real servers."""

import pytest

from loadtest import cli

COMMANDS = ("consumer", "orders", "floor", "compare", "topology", "chaos")


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["loadtest", *arguments])
        cli.main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example_and_its_exit_codes(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command, "--help") == 0
    shown = capsys.readouterr().out
    assert f"python -m loadtest {command}" in shown
    assert "--json" in shown


@pytest.mark.parametrize(
    "arguments",
    [("orders", "--orders", "0"), ("orders", "--profile", "nobody"), ("consumer", "--rounds", "x"), ("nothing",)],
)
def test_a_mistake_ends_in_a_line_and_no_stack_trace(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) != 0
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out + captured.err
    assert arguments[-1] in captured.out + captured.err
