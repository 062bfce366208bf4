"""The command line: `python -m loadtest --help`."""

import sys
from typing import NoReturn

from cyclopts import App
from rich.console import Console
from rich.markup import escape

from broker_topology import TopologyError
from devtools.errors import LocalError
from loadtest.baseline.command import baseline
from loadtest.chaos import chaos
from loadtest.consumer.command import consumer
from loadtest.effects import effects
from loadtest.orders.command import orders
from loadtest.plain.command import compare
from loadtest.schedule import schedule
from loadtest.size.command import size
from loadtest.topology import topology
from loadtest.tracing import tracing

app = App(
    name="python -m loadtest",
    help="""Measure what Warren costs, and compare it with docs/performance.md.

    Exit codes: 0 the targets are met, 1 an invariant is broken or the run failed, 2 wrong usage, 3 a target is missed,
    130 interrupted.

    Examples:

        python -m loadtest consumer                  # P4: one consumer against the bare driver
        python -m loadtest effects                   # what circuit breaker and rate limit add to an effect
        python -m loadtest orders --orders 10000     # P2 and exactly once: the whole system
        python -m loadtest compare                   # P1: against a plain implementation
        python -m loadtest size                      # P5: with old rows, and beside a long queue
        python -m loadtest topology                  # P7: a thousand objects onto a broker
        python -m loadtest tracing                   # P11: with a tenth of all traces recorded
        python -m loadtest schedule                  # messages that wait, and that are due at one moment
        python -m loadtest chaos --minutes 10        # no speed: is anything lost while many faults overlap?
    """,
    version_flags=[],
)
for command in (consumer, effects, orders, baseline, compare, size, topology, tracing, schedule, chaos):
    app.command(command)


def main() -> NoReturn:
    """Run a command; expected errors end in one line without a stack trace."""
    try:
        code = app(sys.argv[1:])
    except (LocalError, TopologyError, OSError, ValueError) as error:
        Console(stderr=True, highlight=False).print(f"[red]loadtest:[/red] {escape(str(error))}", soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)
