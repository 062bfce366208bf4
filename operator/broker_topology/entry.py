"""The console script `broker-topology`. Only the script imports this module: importing it handles SIGINT."""

from typing import NoReturn

from broker_topology.script import Work, exit_on_interrupt, guard

exit_on_interrupt()


def broker_topology() -> NoReturn:
    """Run the command and exit with its code."""

    def load() -> Work:
        from broker_topology.cli import main

        return main

    guard("broker-topology", load, "pip install broker-topology")
