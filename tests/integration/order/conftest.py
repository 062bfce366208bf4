import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from litestar.types import ControllerRouterHandler

from devtools.servers.servers import Servers
from services.order import api
from services.order.backlog import Backlog
from services.order.desk import Desk
from services.order.handlers import HANDLERS
from services.order.intake import Intake
from services.order.prices import PriceList
from services.order.queries import Queries
from services.order.settings import SHIPPED_PRICES, ApiSettings
from services.order.store import OrderBook
from services.shared.chassis.http.application import application
from services.shared.chassis.http.auth import AuthGuard
from tests.service_replica import Replica, ServiceDatabase, replica

SETTINGS = ApiSettings(
    database_url="",
    database_password_file=Path(),
    database_ca_file=Path(),
    broker_url="",
    broker_credentials=Path(),
    broker_ca_file=Path(),
    auth="local",
)


class Shop:
    """One replica of the HTTP process."""

    def __init__(self, parts: Replica, settings: ApiSettings) -> None:
        self.parts = parts
        backlog = Backlog(parts.database, settings.outbox_limit)
        self.intake = Intake(parts.outbox, backlog, deadline_seconds=settings.payment_deadline_seconds)
        prices = PriceList.read(SHIPPED_PRICES)
        desk = Desk(
            intake=self.intake,
            outbox=parts.outbox,
            queries=Queries(parts.database),
            prices=prices,
        )
        routes: list[ControllerRouterHandler] = [api.routes(desk, AuthGuard(settings)), api.articles(prices)]
        self.app = application(routes, title="test")
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)  # type: ignore[arg-type]
        self.http = httpx.AsyncClient(transport=transport, base_url="http://shop")

    async def place(self, headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
        return await self.http.post("/orders", json={"user": "gayal", "items": ["mug"]} | body, headers=headers)


Open = Callable[..., Any]


@pytest.fixture(scope="module")
def db(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceDatabase]:
    db = ServiceDatabase(servers, tmp_path_factory.mktemp("secrets"))
    asyncio.run(db.prepare("order"))
    yield db


@pytest.fixture
async def open_shop(db: ServiceDatabase) -> AsyncIterator[Open]:
    """Opens replicas of the HTTP process, with settings of one's own."""

    @asynccontextmanager
    async def opened(settings: ApiSettings) -> AsyncIterator[Shop]:
        async with replica(db, "order", HANDLERS, OrderBook) as parts:
            shop = Shop(parts, settings)
            async with shop.http:
                yield shop

    async with AsyncExitStack() as stack:

        async def open_one(**settings: Any) -> Shop:
            return await stack.enter_async_context(opened(msgspec.structs.replace(SETTINGS, **settings)))

        yield open_one


@pytest.fixture
async def shop(open_shop: Open) -> Shop:
    return await open_shop()  # type: ignore[no-any-return]


@pytest.fixture
async def workers(db: ServiceDatabase) -> AsyncIterator[tuple[Replica, Replica]]:
    async with (
        replica(db, "order", HANDLERS, OrderBook) as one,
        replica(db, "order", HANDLERS, OrderBook) as two,
    ):
        yield one, two
