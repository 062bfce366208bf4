from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from uuid import UUID

import pytest

from services.payment.handlers import handlers
from services.payment.simulator.gateway import SimulatedGateway
from services.payment.store import PaymentRepository
from services.shared.contracts import AnyEvent
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


class PaymentEnv:
    """Two replicas of the payment service on one database and one ledger."""

    def __init__(self, db: ServiceDatabase, replicas: list[Replica]) -> None:
        self.db, self.replicas = db, replicas

    async def net(self, order_id: UUID) -> tuple[int, int]:
        """The number of charges, and the money that is kept."""
        [row] = await self.db.sql(
            "SELECT count(*) FILTER (WHERE kind = 'charge'), coalesce(sum(amount_cents), 0)"
            " FROM gateway.entries WHERE key = $1",
            str(order_id),
        )
        return row[0], int(row[1])

    async def state(self, order_id: UUID) -> str | None:
        rows = await self.db.sql("SELECT state FROM payment.payments WHERE order_id = $1", order_id)
        return rows[0][0] if rows else None

    async def published(self, order_id: UUID) -> list[AnyEvent]:
        return [event for event in await self.db.outbox_events("payment") if event.subject == order_id]

    async def published_types(self, order_id: UUID) -> list[str]:
        return [event.type for event in await self.published(order_id)]


@pytest.fixture
async def env(db: ServiceDatabase, gateways: list[SimulatedGateway]) -> AsyncIterator[PaymentEnv]:
    async with AsyncExitStack() as stack:
        replicas = [
            await stack.enter_async_context(replica(db, "payment", handlers(gateway), PaymentRepository))
            for gateway in gateways
        ]
        yield PaymentEnv(db, replicas)
