"""The console script `warren-messaging`."""

import sys
from typing import NoReturn

INTERRUPTED = 130  # the code that shells report for a program that SIGINT has ended


def warren_messaging() -> NoReturn:
    """Run the command and exit with its code; an interruption prints one line, also while modules are imported."""
    try:
        from warren_messaging.command.main import main  # noqa: PLC0415 - see above

        code = main()
    except KeyboardInterrupt:
        sys.stderr.write("warren-messaging: interrupted\n")
        code = INTERRUPTED
    sys.exit(code)
