"""One function for each kind of fault: it makes it, waits, and undoes it, whatever happens meanwhile."""

from faults.chaos.injections import administration, deaths, messages, refusals, servers, wires
from faults.chaos.injections.registry import INJECTIONS, Hindered

__all__ = ["INJECTIONS", "Hindered", "administration", "deaths", "messages", "refusals", "servers", "wires"]
