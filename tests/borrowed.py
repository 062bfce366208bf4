"""Servers that somebody else has started: `make mutants` starts them once and lends them to every run of pytest.

Addresses only. A test that stops or restarts a server needs one of its own, and fails here.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from devtools.servers.addresses import BrokerAddress, DatabaseAddress
from devtools.servers.servers import Servers

VARIABLE = "WARREN_TEST_SERVERS"
"""Names the file that `lend` has written."""


@dataclass(frozen=True)
class Running:
    address: Any


class Borrowed:
    """As much of `Servers` as most tests use."""

    def __init__(self, file: Path) -> None:
        said = json.loads(file.read_text())
        for each in said.values():
            each["ca_file"] = Path(each["ca_file"])
        self.broker = Running(BrokerAddress(**said["broker"]))
        self.postgres = Running(DatabaseAddress(**said["postgres"]))


def lend(servers: Servers, file: Path) -> None:
    """Write down where they are; readable by this user alone, as passwords are in it."""
    file.touch(mode=0o600)
    addresses = {"broker": asdict(servers.broker.address), "postgres": asdict(servers.postgres.address)}
    file.write_text(json.dumps(addresses, default=str))
