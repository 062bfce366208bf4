import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from devtools.servers.servers import Servers
from services.inventory.handlers import HANDLERS
from services.inventory.restocking import Restocking
from services.inventory.store import Stockroom
from tests.replica import Base, Replica, replica


@pytest.fixture(scope="module")
def base(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Base]:
    base = Base(servers, tmp_path_factory.mktemp("secrets"))
    asyncio.run(base.prepare("inventory"))
    yield base


@pytest.fixture
async def replicas(base: Base) -> AsyncIterator[tuple[Replica, Replica]]:
    async with (
        replica(base, "inventory", HANDLERS, Stockroom) as one,
        replica(base, "inventory", HANDLERS, Stockroom) as two,
    ):
        yield one, two


@pytest.fixture
def restocking(replicas: tuple[Replica, Replica]) -> Restocking:
    return Restocking(replicas[0].database)
