"""Events between services over RabbitMQ, with their effects in PostgreSQL: neither lost nor done twice.

Authors of services import from here; modules are where the library itself keeps its parts. What is guaranteed, how,
and at what price is in docs/messaging.md. Doubles for tests are in `warren_messaging.testing`.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from warren_messaging.interface import *  # noqa: F403
else:

    def __getattr__(name: str) -> Any:
        """Import the public names at the first use of one: a program that needs one module pays for no other."""
        if name != "__all__" and find_spec(f"{__name__}.{name}"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.interface"), name)
