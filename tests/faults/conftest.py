"""One system for all fault tests, and the judgement at the end of each."""

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools import invariants
from devtools.paths import instance_dir
from faults.harness import Rig
from tests.conftest import SEED
from tests.faults.customers import Customers
from tests.servers import remove_instance

HERE = Path(__file__).parent
SETTLING = 120.0  # seconds


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Recovery is bounded by what each test waits for; on a machine that is busy with other things that adds up."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(400))


@pytest.fixture(scope="session")
def the_rig() -> Iterator[Rig]:
    folder = instance_dir(f"faults-{os.getpid()}")
    with Rig(folder) as rig:
        yield rig
    remove_instance(folder)


@pytest.fixture(scope="session")
def the_customers(the_rig: Rig) -> Iterator[Customers]:
    customers = Customers(the_rig.url("order-api"), SEED)
    yield customers
    customers.leave()


@pytest.fixture
def customers(the_customers: Customers) -> Customers:
    the_customers.begin()
    return the_customers


@pytest.fixture
def rig(the_rig: Rig, customers: Customers) -> Iterator[Rig]:
    """Ends with everything mended, and the invariants over every order that was ever accepted."""
    yield the_rig
    began = time.monotonic()
    the_rig.whole()
    accepted = customers.accepted
    database, broker = the_rig.servers.postgres.address, the_rig.servers.broker.address
    checks = asyncio.run(invariants.settled(database, broker, seconds=SETTLING, accepted=set(accepted.values())))
    the_rig.processes.check()
    broken = [f"{check.name}: {check.detail}" for check in checks if not check.held]
    assert not broken, broken
    # Whoever heard nothing came again: no order may exist beside those that were accepted in the end.
    assert the_rig.orders("customer = 'fault'") == len(accepted)
    sys.stdout.write(f"settled after {time.monotonic() - began:.1f} s: {checks[0].detail}\n")
