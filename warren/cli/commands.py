"""All commands."""

import sys
from typing import Annotated, Literal

from cyclopts import App, Parameter

from warren.cli import dlq, order, processes, system
from warren.cli.demo import demo
from warren.cli.failures import failures
from warren.cli.outbox import outbox
from warren.cli.token import token

app = App(
    name="warren",
    help="""Run Warren on this machine, place and follow orders, look after messages that got stuck.

    Try:

        warren demo              # a tour, checked at the end
        warren up                # everything, until Ctrl-C
        warren order place --user gayal item1 item2 --watch
        warren dlq list          # what is parked, and why

    Exit codes: 0 done, 1 failed or an invariant is broken, 2 wrong usage, 130 interrupted.
    """,
    version_flags=["--version"],
    help_format="plaintext",  # the other formats import a renderer of Markdown
)
app.command(demo)
app.command(system.up)
app.command(system.down)
app.command(processes.status)
app.command(processes.logs)
app.command(processes.restart)
app.command(order.app)
app.command(dlq.app)
app.command(outbox)
app.command(failures)
app.command(token)


@app.command
def completion(shell: Annotated[Literal["bash", "zsh", "fish"], Parameter(help="For which shell.")]) -> None:
    """Print a script that makes a shell complete commands, options and their values.

    Try:

        source <(warren completion bash)
    """
    sys.stdout.write(app.generate_completion(shell=shell))
