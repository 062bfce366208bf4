"""A picture of a command is what it prints in a terminal, and loads nothing from elsewhere."""

import re
import subprocess

import pytest

from tests.pictures.terminal import run_in_terminal, terminal_picture


def test_a_picture_shows_what_the_command_prints_in_a_terminal() -> None:
    printed = run_in_terminal(["--help"], {}, 80)
    assert "\x1b[" in printed or "Usage" in printed
    picture = terminal_picture(["top", "--help"], {}, 80)
    shown = re.sub(r"<[^>]*>", "", picture).replace("&#160;", " ")
    assert "Show queues, rates, outboxes" in shown
    assert "warren top --help" in shown
    assert "@font-face" not in picture
    assert "url(http" not in picture


def test_a_command_that_fails_is_no_picture() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        terminal_picture(["trace"], {}, 80)
