import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from devtools.servers.servers import Servers
from services.payment.handlers import handlers
from services.payment.simulated_gateway import SimulatedGateway
from services.payment.store import Payments
from tests.service_replica import Replica, ServiceDatabase, replica


@pytest.fixture(scope="module")
def db(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceDatabase]:
    db = ServiceDatabase(servers, tmp_path_factory.mktemp("secrets"))
    asyncio.run(db.prepare("payment", "gateway"))
    yield db


@pytest.fixture
async def gateway(db: ServiceDatabase) -> AsyncIterator[SimulatedGateway]:
    gateway = SimulatedGateway(db.address("gateway"), timeout_seconds=2)
    yield gateway
    await gateway.close()


@pytest.fixture
async def other_gateway(db: ServiceDatabase) -> AsyncIterator[SimulatedGateway]:
    """The same books, seen from another process."""
    gateway = SimulatedGateway(db.address("gateway"), timeout_seconds=2)
    yield gateway
    await gateway.close()


@pytest.fixture
async def replicas(
    db: ServiceDatabase, gateway: SimulatedGateway, other_gateway: SimulatedGateway
) -> AsyncIterator[tuple[Replica, Replica]]:
    async with (
        replica(db, "payment", handlers(gateway), Payments) as one,
        replica(db, "payment", handlers(other_gateway), Payments) as two,
    ):
        yield one, two
