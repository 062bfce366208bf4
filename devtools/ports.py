"""Loopback ports for servers and services.

Free ports are chosen below the kernel's range for outgoing connections. A port inside that range can be taken by any
client while its server is down; a client that reconnects to it in a loop may even connect to itself.
"""

import json
import random
import socket
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil

from devtools.errors import PortTakenError

FIRST_PORT = 20000
LOOPBACK = "127.0.0.1"
# Tests seed the default generator: processes with the same seed would choose the same ports.
_random = random.SystemRandom()


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Return whether a server could listen there now. A socket in TIME_WAIT does not count as taken."""
    with ExitStack() as stack:
        return _hold(stack, port, host)


def remembered_ports(
    file: Path, purposes: Iterable[str], *, preferred: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Return a free port for each purpose: the preferred one, that of the last run, or else a new one.

    So noted addresses and reconnecting clients survive a restart.
    """
    known: dict[str, int] = {}
    with suppress(OSError, ValueError):  # missing or damaged: all ports are new
        known = json.loads(file.read_text())
    chosen: dict[str, int] = {}
    preferred = preferred or {}
    # All ports are held until the last is chosen, so that no port is returned twice.
    with ExitStack() as stack:
        for purpose in purposes:
            port = preferred.get(purpose, 0)
            if not port or not _hold(stack, port, LOOPBACK):
                port = known.get(purpose, 0)
                while port < FIRST_PORT or port in chosen.values() or not _hold(stack, port, LOOPBACK):
                    port = _random.randrange(FIRST_PORT, _first_ephemeral_port())
            chosen[purpose] = port
    file.write_text(json.dumps(chosen, indent=1) + "\n")
    return chosen


def require_free_port(port: int, purpose: str, host: str = LOOPBACK, *, instead: str = "choose another port") -> None:
    """Raise PortTakenError unless `port` is free. It names the process, if this user may see it, and `instead`."""
    if is_free(port, host):
        return
    holder = _holder(port) or "another process"
    raise PortTakenError(f"Port {port}, needed for {purpose}, is taken by {holder}. Stop that process, or {instead}.")


def _hold(stack: ExitStack, port: int, host: str) -> bool:
    listener = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(1)
    except (OSError, OverflowError):
        return False
    return True


def _first_ephemeral_port() -> int:
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        first = 32768
    return first if first > FIRST_PORT + 1000 else 60000


def _holder(port: int) -> str | None:
    """Return `name (pid N)` of the process that listens on `port`, if this user may see it."""
    with suppress(psutil.Error):
        for socket_ in psutil.net_connections("tcp"):
            if socket_.status == psutil.CONN_LISTEN and socket_.laddr and socket_.laddr.port == port and socket_.pid:
                return f"{psutil.Process(socket_.pid).name()} (pid {socket_.pid})"
    return None
