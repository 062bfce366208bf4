"""The command line: `warren --help`.

Exit codes: 0 done, 1 the command failed or an invariant is broken, 2 wrong usage, 130 interrupted.

The modules with the commands' signatures and help import nothing heavy: each command imports what it needs when it
runs. `warren.entry` handles interruptions and output.
"""

import sys
from collections.abc import Callable, Sequence

from broker_topology.script import fail
from services.shared.chassis.text import printable


def load(arguments: Sequence[str]) -> Callable[[], int]:
    """The command that the arguments name, ready to run. Reports wrong usage and raises SystemExit(2)."""
    from cyclopts import CycloptsError

    from warren.cli.commands import app

    if unreadable := [text for text in arguments if not text.isprintable() and "\udc80" <= max(text) <= "\udcff"]:
        fail("warren", f"the argument {printable(unreadable[0])} is not UTF-8")
        sys.exit(2)
    if not arguments or arguments[0] in app.help_flags:
        app.resolved_commands()  # the list of commands shows the first line of each
    try:
        command, bound, _ = app.parse_args(arguments, print_error=False, exit_on_error=False)
    except CycloptsError as error:
        from cyclopts.help import format_usage

        chain, apps, _ = app.parse_commands(arguments)
        path = " ".join(("warren", *chain))
        usage = str(format_usage(app, chain, apps)).strip()
        fail("warren", f"{printable(error)}\n{usage}\nMore: {path} --help")
        sys.exit(2)

    def work() -> int:
        try:
            code = command(*bound.args, **bound.kwargs)
        except ModuleNotFoundError as error:
            if error.name != "devtools":
                raise
            return fail(
                "warren", "this command runs in a checkout of Warren: the package devtools is not installed here"
            )
        except _reported() as error:
            return fail("warren", printable(str(error), keep="\n"))
        return code if isinstance(code, int) else 0

    return work


def _reported() -> tuple[type[Exception], ...]:
    """The errors whose text is for the person who gave the command."""
    from warren.errors import WarrenError
    from warren_messaging.errors import MessagingError

    return WarrenError, MessagingError
