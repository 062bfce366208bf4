"""Test servers that outlive one run of pytest: `make mutants` starts them once and shares them with every run.

Shared servers have addresses only. A test that stops or restarts a server needs servers of its own, and fails here.
"""

import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

from devtools.servers.endpoints import BrokerEndpoints, DatabaseEndpoint
from devtools.servers.servers import Servers

ADDRESSES_VARIABLE = "WARREN_TEST_SERVERS"
"""Environment variable with the path of the file that `write_addresses` wrote."""


class SharedServers:
    """The part of `Servers` that most tests use."""

    def __init__(self, file: Path) -> None:
        addresses = json.loads(file.read_text())
        for address in addresses.values():
            address["ca_file"] = Path(address["ca_file"])
        self.broker = SimpleNamespace(endpoints=BrokerEndpoints(**addresses["broker"]))
        self.postgres = SimpleNamespace(endpoint=DatabaseEndpoint(**addresses["postgres"]))


def write_addresses(servers: Servers, file: Path) -> None:
    """Write the addresses to a file that only this user can read, because they contain passwords."""
    file.touch(mode=0o600)
    addresses = {"broker": asdict(servers.broker.endpoints), "postgres": asdict(servers.postgres.endpoint)}
    file.write_text(json.dumps(addresses, default=str))


def remove_instance(folder: Path) -> None:
    """Delete the servers of a run with all their data, unless WARREN_KEEP is set to inspect a failure."""
    if not os.environ.get("WARREN_KEEP"):
        shutil.rmtree(folder, ignore_errors=True)
