"""Who runs on which core.

Where one process is measured it has a core to itself, and the servers have the others: its speed is then its own, and
not what the scheduler left it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager


def measured_core() -> int | None:
    """The core of the measured process; None when there is only one for everybody."""
    cores = sorted(os.sched_getaffinity(0))
    return cores[0] if len(cores) > 1 else None


@contextmanager
def leaving(core: int | None) -> Iterator[None]:
    """Keep this thread, and every process and thread that starts from it, off `core`.

    Servers in Docker are started by its daemon and go where they like.
    """
    before = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, before - {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def take(core: int | None) -> None:
    """Move this process to `core`."""
    if core is not None:
        os.sched_setaffinity(0, {core})
