"""python -m loadtest"""

from warren.entry import Work, guard


def load() -> Work:
    from loadtest.cli import main  # noqa: PLC0415 - guarded

    return main


guard("loadtest", load, "make .venv/.dev")
