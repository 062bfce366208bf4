from collections.abc import AsyncIterator

import pytest

from services.inventory.handlers import HANDLERS
from services.inventory.restock_store import RestockStore
from services.inventory.store import StockRepository
from tests.service_replica import Replica, ServiceDatabase
from tests.services import database_fixture, two_replicas

db = database_fixture("inventory")


@pytest.fixture
async def replicas(db: ServiceDatabase) -> AsyncIterator[tuple[Replica, Replica]]:
    async with two_replicas(db, "inventory", HANDLERS, StockRepository) as replicas:
        yield replicas


@pytest.fixture
def restocks(replicas: tuple[Replica, Replica]) -> RestockStore:
    return RestockStore(replicas[0].database)
