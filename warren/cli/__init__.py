"""The command line: `warren --help`.

Exit codes: 0 done, 1 the command failed or an invariant is broken, 2 wrong usage, 130 interrupted.
"""

import sys

from cyclopts import App
from rich.console import Console
from rich.markup import escape

from services.shared.messaging.errors import MessagingError
from warren.cli import dlq, order, processes, system
from warren.cli.demo import demo
from warren.cli.failures import failures
from warren.cli.outbox import outbox
from warren.cli.token import token
from warren.client import ClientError
from warren.local.errors import LocalError

app = App(
    name="warren",
    help="""Run Warren on this machine, place and follow orders, look after messages that got stuck.

    Try:

        warren demo              # a tour, checked at the end
        warren up                # everything, until Ctrl-C
        warren order place --user gayal item1 item2 --watch
        warren dlq list          # what is parked, and why
    """,
    version_flags=["--version"],
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


def main() -> None:
    """Entry point: mistakes of the user end in one line, never in a stack trace."""
    try:
        code = app()
    except (LocalError, ClientError, MessagingError) as error:
        _complain(str(error))
        sys.exit(1)
    except OSError as error:
        if error.filename is None:
            raise
        _complain(f"{error.filename}: {error.strerror}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


def _complain(text: str) -> None:
    Console(stderr=True, highlight=False).print(f"[red]warren:[/red] {escape(text)}", soft_wrap=True)
