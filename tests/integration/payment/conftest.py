import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from devtools.servers.servers import Servers
from services.payment.handlers import handlers
from services.payment.simulated_gateway import SimulatedGateway
from services.payment.store import Payments
from tests.replica import Base, Replica, replica


@pytest.fixture(scope="module")
def base(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Base]:
    base = Base(servers, tmp_path_factory.mktemp("secrets"))
    asyncio.run(base.prepare("payment", "gateway"))
    yield base


@pytest.fixture
async def gateway(base: Base) -> AsyncIterator[SimulatedGateway]:
    gateway = SimulatedGateway(base.address("gateway"), timeout_seconds=2)
    yield gateway
    await gateway.close()


@pytest.fixture
async def other_gateway(base: Base) -> AsyncIterator[SimulatedGateway]:
    """The same books, seen from another process."""
    gateway = SimulatedGateway(base.address("gateway"), timeout_seconds=2)
    yield gateway
    await gateway.close()


@pytest.fixture
async def replicas(
    base: Base, gateway: SimulatedGateway, other_gateway: SimulatedGateway
) -> AsyncIterator[tuple[Replica, Replica]]:
    async with (
        replica(base, "payment", handlers(gateway), Payments) as one,
        replica(base, "payment", handlers(other_gateway), Payments) as two,
    ):
        yield one, two
