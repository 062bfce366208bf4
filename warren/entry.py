"""The console script `warren`. Only scripts import this module, as their first action: importing it handles SIGINT."""

import gc
import sys
from typing import NoReturn

from broker_topology.script import Work, exit_on_interrupt, guard

exit_on_interrupt()
gc.set_threshold(200_000)  # imported objects stay, and collecting among them takes an eighth of the start-up time


def warren() -> NoReturn:
    """Run the command and exit with its code."""

    def load() -> Work:
        from warren import cli

        return cli.load(sys.argv[1:])

    guard("warren", load, "pip install 'warren[local]'")
