"""The command line: `python -m loadtest --help`."""

import sys
from typing import NoReturn

from cyclopts import App
from rich.console import Console
from rich.markup import escape

from broker_topology import TopologyError
from devtools.errors import LocalError
from loadtest.chaos.command import chaos
from loadtest.consumer.command import consumer
from loadtest.floor.command import floor
from loadtest.orders.command import orders
from loadtest.plain.command import compare
from loadtest.size.command import size
from loadtest.topology.command import topology

app = App(
    name="python -m loadtest",
    help="""Measure what Warren costs, and compare it with docs/performance.md.

    Exit codes: 0 the marks are met, 1 an invariant is broken or the run failed, 2 wrong usage, 3 a mark is missed,
    130 interrupted.

    Examples:

        python -m loadtest consumer                  # P4: one consumer against the bare driver
        python -m loadtest orders --orders 10000     # P2 and exactly once: the whole system
        python -m loadtest compare                   # P1: against a plain implementation
        python -m loadtest size                      # P5: with a long past, and beside a long queue
        python -m loadtest topology                  # P7: a thousand objects onto a broker
        python -m loadtest chaos --minutes 10        # no speed: whether anything is lost while everything fails
    """,
    version_flags=[],
)
app.command(consumer)
app.command(orders)
app.command(floor)
app.command(compare)
app.command(size)
app.command(topology)
app.command(chaos)


def main() -> NoReturn:
    """Entry point: mistakes of the user end in one line, never in a stack trace."""
    try:
        code = app(sys.argv[1:])
    except (LocalError, TopologyError, OSError, ValueError) as error:
        Console(stderr=True, highlight=False).print(f"[red]loadtest:[/red] {escape(str(error))}", soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)
