from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from services.payment.handlers import handlers
from services.payment.simulator.gateway import SimulatedGateway
from services.payment.store import PaymentRepository
from tests.service_replica import Replica, ServiceDatabase, replica
from tests.services import database_fixture

db = database_fixture("payment", "gateway")


@pytest.fixture
async def gateways(db: ServiceDatabase) -> AsyncIterator[list[SimulatedGateway]]:
    """Two processes of the simulated gateway with the same ledger."""
    gateways = [SimulatedGateway(db.address("gateway"), timeout_seconds=2) for _ in range(2)]
    yield gateways
    for gateway in gateways:
        await gateway.close()


@pytest.fixture
def gateway(gateways: list[SimulatedGateway]) -> SimulatedGateway:
    return gateways[0]


@pytest.fixture
def other_gateway(gateways: list[SimulatedGateway]) -> SimulatedGateway:
    return gateways[1]


@pytest.fixture
async def replicas(db: ServiceDatabase, gateways: list[SimulatedGateway]) -> AsyncIterator[list[Replica]]:
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(replica(db, "payment", handlers(gateway), PaymentRepository))
            for gateway in gateways
        ]
