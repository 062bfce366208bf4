"""Distinguishes the cancellation of a task from a CancelledError that comes out of something it awaits.

A library may let the CancelledError of an inner task or future escape. asyncio takes a task that ends with one for a
cancelled task, and reports nothing: the work would stop without an error.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from warren_messaging.errors import TransientError


def is_cancelled() -> bool:
    """Whether the current task is being cancelled."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


@contextmanager
def inner_cancellation_as_error() -> Iterator[None]:
    """Raise TransientError for a CancelledError of the block, unless the current task is being cancelled."""
    try:
        yield
    except asyncio.CancelledError as error:
        if is_cancelled():
            raise
        raise TransientError("a task that it awaited was cancelled") from error
