import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
import pytest
from litestar.types import ControllerRouterHandler

from services.order.api import articles, routes
from services.order.handlers import HANDLERS
from services.order.placement_batcher import OutboxLimit, PlacementBatcher
from services.order.prices import PriceList
from services.order.queries import OrderQueries
from services.order.service import OrderService
from services.order.settings import DEFAULT_PRICES_FILE, ApiSettings
from services.order.store import OrderRepository
from services.shared.chassis.http.application import application
from services.shared.chassis.http.auth import AuthGuard
from services.shared.contracts import AnyEvent
from tests.service_replica import Replica, ServiceDatabase, replica
from tests.services import database_fixture, settings_of, two_replicas


class OrderApi:
    """One replica of the process `api`."""

    def __init__(self, db: ServiceDatabase, parts: Replica, settings: ApiSettings) -> None:
        self._db = db
        self.parts = parts
        limit = OutboxLimit(parts.database, settings.outbox_limit)
        prices = PriceList.read(DEFAULT_PRICES_FILE)
        service = OrderService(
            batcher=PlacementBatcher(parts.outbox, limit, settings.payment_terms),
            outbox=parts.outbox,
            queries=OrderQueries(parts.database),
            prices=prices,
        )
        handlers: list[ControllerRouterHandler] = [routes(service, AuthGuard(settings)), articles(prices)]
        self.app = application(handlers, title="test")
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)  # type: ignore[arg-type]
        self.http = httpx.AsyncClient(transport=transport, base_url="http://shop")

    async def post_order(self, headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
        return await self.http.post("/orders", json={"user": "ada", "items": ["mug"]} | body, headers=headers)

    async def place_order(self, **body: Any) -> UUID:
        """Places an order of a new customer."""
        response = await self.post_order(**({"user": secrets.token_hex(6)} | body))
        assert response.status_code == 202, response.text
        return UUID(response.json()["id"])

    async def read(self, order_id: UUID) -> dict[str, Any]:
        response = await self.http.get(f"/orders/{order_id}")
        assert response.status_code == 200
        return dict(response.json())

    async def events(self, order_id: UUID) -> list[AnyEvent]:
        """The events of an order in the outbox."""
        return [event for event in await self._db.outbox_events('"order"') if event.subject == order_id]

    async def event_types(self, order_id: UUID) -> list[str]:
        return [event.type for event in await self.events(order_id)]


OpenApi = Callable[..., Awaitable[OrderApi]]

db = database_fixture("order")


@pytest.fixture
async def open_api(db: ServiceDatabase) -> AsyncIterator[OpenApi]:
    """Opens replicas of the process `api` with the given settings."""

    @asynccontextmanager
    async def opened(settings: ApiSettings) -> AsyncIterator[OrderApi]:
        async with replica(db, "order", HANDLERS, OrderRepository) as parts:
            order_api = OrderApi(db, parts, settings)
            async with order_api.http:
                yield order_api

    async with AsyncExitStack() as stack:

        async def open_one(**settings: Any) -> OrderApi:
            return await stack.enter_async_context(opened(settings_of(ApiSettings, **({"auth": "local"} | settings))))

        yield open_one


@pytest.fixture
async def api(open_api: OpenApi) -> OrderApi:
    return await open_api()


@pytest.fixture
async def workers(db: ServiceDatabase) -> AsyncIterator[tuple[Replica, Replica]]:
    async with two_replicas(db, "order", HANDLERS, OrderRepository) as replicas:
        yield replicas
