import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from devtools.servers.servers import Servers
from services.inventory.handlers import HANDLERS
from services.inventory.restocking import Restocking
from services.inventory.store import Stockroom
from tests.service_replica import Replica, ServiceDatabase, replica


@pytest.fixture(scope="module")
def db(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceDatabase]:
    db = ServiceDatabase(servers, tmp_path_factory.mktemp("secrets"))
    asyncio.run(db.prepare("inventory"))
    yield db


@pytest.fixture
async def replicas(db: ServiceDatabase) -> AsyncIterator[tuple[Replica, Replica]]:
    async with (
        replica(db, "inventory", HANDLERS, Stockroom) as one,
        replica(db, "inventory", HANDLERS, Stockroom) as two,
    ):
        yield one, two


@pytest.fixture
def restocking(replicas: tuple[Replica, Replica]) -> Restocking:
    return Restocking(replicas[0].database)
