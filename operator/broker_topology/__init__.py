"""The topology engine: applies `Topology` resources to a RabbitMQ broker.

Reads and checks resources (`load`, `check`, `validate`), shows the difference (`preview`) and writes it (`apply`). For
an owner it also repairs drift and prunes (`reconcile`), and deletes everything (`finalize`). It knows nothing of
Kubernetes or of any service; `broker-topology` is its command line.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from broker_topology.interface import *  # noqa: F403
else:

    def __getattr__(name: str) -> Any:
        """Import the public names when one of them is first used: the command handles Ctrl-C before its imports."""
        if name != "__all__" and find_spec(f"{__name__}.{name}"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.interface"), name)
