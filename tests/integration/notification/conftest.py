import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest

from devtools.servers.servers import Servers
from services.notification.handlers import HANDLERS
from services.notification.store import Conversations
from tests.service_replica import Replica, ServiceDatabase, replica


@pytest.fixture(scope="module")
def db(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceDatabase]:
    db = ServiceDatabase(servers, tmp_path_factory.mktemp("secrets"))
    asyncio.run(db.prepare("notification"))
    yield db


@pytest.fixture
async def replicas(db: ServiceDatabase) -> AsyncIterator[tuple[Replica, Replica]]:
    transaction = partial(Conversations, contact_domain="shop.test")
    async with (
        replica(db, "notification", HANDLERS, transaction) as one,
        replica(db, "notification", HANDLERS, transaction) as two,
    ):
        yield one, two
