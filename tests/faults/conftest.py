"""One system for all fault tests, and the invariants at the end of each."""

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools import invariants
from devtools.paths import instance_dir
from faults.harness import FaultHarness
from tests.conftest import SEED
from tests.faults.customers import Customers
from tests.servers import remove_instance

HERE = Path(__file__).parent
SETTLING_SECONDS = 120.0


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each test limits its own waits; on a busy machine they add up to more than the usual limit of a test."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(400))


@pytest.fixture(scope="session")
def shared_harness() -> Iterator[FaultHarness]:
    folder = instance_dir(f"faults-{os.getpid()}")
    with FaultHarness(folder, traces=True) as harness:
        yield harness
    remove_instance(folder)


@pytest.fixture(scope="session")
def shared_customers(shared_harness: FaultHarness) -> Iterator[Customers]:
    customers = Customers(shared_harness.url("order-api"), SEED)
    yield customers
    customers.close()


@pytest.fixture
def customers(shared_customers: Customers) -> Customers:
    shared_customers.begin_test()
    return shared_customers


@pytest.fixture
def harness(shared_harness: FaultHarness, customers: Customers) -> Iterator[FaultHarness]:
    """Repairs everything after the test, and checks the invariants over every order accepted so far."""
    harness = shared_harness
    yield harness
    began = time.monotonic()
    harness.repair()
    accepted = set(customers.accepted.values())
    database, broker = harness.servers.postgres.endpoint, harness.servers.broker.endpoints
    checks = asyncio.run(invariants.wait_for_invariants(database, broker, seconds=SETTLING_SECONDS, accepted=accepted))
    harness.processes.check()
    broken = [f"{check.name}: {check.detail}" for check in checks if not check.held]
    assert not broken, broken
    # Every request was repeated until it was accepted, so there is no other order.
    assert harness.count_orders("customer = 'fault'") == len(accepted)
    sys.stdout.write(f"settled after {time.monotonic() - began:.1f} s: {checks[0].detail}\n")
