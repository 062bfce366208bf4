"""Events between services over RabbitMQ with effects in PostgreSQL: no event is lost, none has its effect twice.

This package exports the public names. docs/messaging.md describes the guarantees, how they are kept, and their cost.
Test doubles are in `warren_messaging.testing`.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from warren_messaging.interface import *  # noqa: F403
else:

    def __getattr__(name: str) -> Any:
        """Import the public names when one of them is first used: a program that needs one module imports no other."""
        if name != "__all__" and find_spec(f"{__name__}.{name}"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.interface"), name)
