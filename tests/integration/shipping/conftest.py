import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial

import pytest

from devtools.servers.servers import Servers
from services.shipping.domain import Pace
from services.shipping.handlers import HANDLERS
from services.shipping.store import Shipments
from tests.service_replica import Replica, ServiceDatabase, replica

Start = Callable[[Pace], AbstractAsyncContextManager[Replica]]


@pytest.fixture(scope="session")
def schema(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> ServiceDatabase:
    db = ServiceDatabase(servers, tmp_path_factory.mktemp("secrets"))
    asyncio.run(db.prepare("shipping"))
    return db


@pytest.fixture
async def db(schema: ServiceDatabase) -> AsyncIterator[ServiceDatabase]:
    """Without shipments, since ticks look at all of them."""
    await schema.sql("TRUNCATE shipping.shipments, shipping.outbox, shipping.sequences, shipping.inbox")
    yield schema


@pytest.fixture
def start(db: ServiceDatabase) -> Iterator[Start]:
    """Start a replica that goes at some pace."""
    yield lambda pace: replica(db, "shipping", HANDLERS, partial(Shipments, pace=pace))
