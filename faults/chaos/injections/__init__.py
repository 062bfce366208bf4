"""One function for each kind of fault. It injects the fault, waits, and undoes it even if an error interrupts it."""

from faults.chaos.injections import messages, network, processes, servers
from faults.chaos.injections.registry import INJECTIONS, NotInjected

__all__ = ["INJECTIONS", "NotInjected", "messages", "network", "processes", "servers"]
