"""Finds the system that `warren up` runs in this checkout.

The package `devtools` starts that system. An installation without a checkout, such as the image `tools`, lacks it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from devtools.local.instance import Instance


def running_instance() -> Instance | None:
    """Return the instance of the running `warren up`; None if none runs, or without devtools. Raises LocalError."""
    try:
        from devtools.local.instance import Instance
    except ModuleNotFoundError:
        return None
    instance = Instance("up")
    return None if instance.state is None else instance
