"""The app of all commands. A module with commands is imported when its command is named, or for help."""

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from warren.cli.help_text import HelpFormatter

app = App(
    name="warren",
    help="""Run Warren on this machine, place and follow orders, and handle messages that failed.

    Try:

        warren demo              # a tour, checked at the end
        warren up                # the whole system, until Ctrl-C
        warren order place --customer gayal item1 item2 --watch
        warren trace 123         # what happened to an order, and when
        warren top               # queues, rates and orders on one screen
        warren dlq list          # parked messages and their reasons

    Exit codes: 0 success, 1 failure or a broken invariant, 2 wrong usage, 130 interrupted.
    """,
    version_flags=["--version"],
    help_format="plaintext",  # the other formats import a renderer of Markdown
    help_formatter=HelpFormatter(),
)
for name in ("demo", "up", "down", "status", "logs", "restart"):
    app.command(f"warren.cli.local:{name}")
for name in ("order", "dlq", "retries", "schedule"):
    app.command(f"warren.cli.{name}:app", name=name)
for name in ("outbox", "failures", "trace", "top", "fraud"):
    app.command(f"warren.cli.{name}:{name}")


@app.command
def token(user: str, *, key_file: Path, role: str | None = None, minutes: float = 60) -> None:
    """Print a bearer token that names a customer.

    Try:

        export WARREN_TOKEN=$(warren token gayal --key-file token.key)

        warren token ann --key-file token.key --role staff --minutes 5

    Parameters
    ----------
    user
        The user that the token names.
    key_file
        The key with which the services verify tokens (their WARREN_TOKEN_KEY_FILE).
    role
        A role beyond that of a customer; `staff` may read stock and audit.
    minutes
        How long the token is valid.
    """
    from warren.tokens import sign

    print(sign(user, key_file, role=role, seconds=minutes * 60))


@app.command
def completion(shell: Annotated[Literal["bash", "zsh", "fish"], Parameter(help="The shell.")]) -> None:
    """Print a script that makes a shell complete commands, options and their values.

    Try:

        source <(warren completion bash)
    """
    sys.stdout.write(app.generate_completion(shell=shell))
