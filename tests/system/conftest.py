"""The whole system as `warren up` runs it, on private servers, and a client that records accepted orders."""

import asyncio
import os
from collections.abc import Iterator

import pytest

from devtools import invariants
from devtools.local.system import System
from devtools.paths import instance_dir
from tests.servers import remove_instance
from tests.system.shop import Shop
from tests.system.watched import Watched
from warren.client import ApiClient

# A customer has this long to think again after paying, and an unpaid order this long to be paid.
ENVIRONMENT = {
    "*": {"WARREN_LOG_FORMAT": "json", "WARREN_LOG_LEVEL": "debug"},
    "order-api": {"WARREN_PAYMENT_DEADLINE_SECONDS": "8"},
    "shipping": {"WARREN_PREPARATION_SECONDS": "0.7", "WARREN_CARRIER_SECONDS": "0.7"},
}


@pytest.fixture(scope="session")
def system() -> Iterator[System]:
    folder = instance_dir(f"system-{os.getpid()}")
    with System(folder, fresh=True, environment=ENVIRONMENT, traces=True, prometheus=True) as system:
        yield system
    remove_instance(folder)


@pytest.fixture(scope="session")
def client(system: System) -> Iterator[ApiClient]:
    with ApiClient(system.url("order-api")) as client:
        yield client


@pytest.fixture
def watched(system: System) -> Iterator[Watched]:
    watched = Watched(system)
    yield watched
    watched.stop()


@pytest.fixture
def shop(system: System, client: ApiClient) -> Iterator[Shop]:
    """Ends with the invariants over every order that was accepted so far."""
    shop = Shop(system, client)
    yield shop
    for process in list(shop.frozen):
        shop.thaw(process)
    system.check()
    database, broker = system.servers.postgres.endpoint, system.servers.broker.endpoints
    checks = asyncio.run(invariants.wait_for_invariants(database, broker, seconds=40, accepted=shop.accepted))
    broken = [f"{check.name}: {check.detail}" for check in checks if not check.held]
    # Parked messages are what some tests are about; their figures must agree all the same.
    assert not broken, broken
