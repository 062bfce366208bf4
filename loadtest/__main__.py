"""python -m loadtest"""

from broker_topology.script import Work, exit_on_interrupt, guard

exit_on_interrupt()


def load() -> Work:
    from loadtest.cli import main  # noqa: PLC0415 - guarded

    return main


guard("loadtest", load, "make .venv/.dev")
