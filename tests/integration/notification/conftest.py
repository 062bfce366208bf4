import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest

from devtools.servers.servers import Servers
from services.notification.handlers import HANDLERS
from services.notification.store import Conversations
from tests.replica import Base, Replica, replica


@pytest.fixture(scope="module")
def base(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Base]:
    base = Base(servers, tmp_path_factory.mktemp("secrets"))
    asyncio.run(base.prepare("notification"))
    yield base


@pytest.fixture
async def replicas(base: Base) -> AsyncIterator[tuple[Replica, Replica]]:
    transaction = partial(Conversations, contact_domain="shop.test")
    async with (
        replica(base, "notification", HANDLERS, transaction) as one,
        replica(base, "notification", HANDLERS, transaction) as two,
    ):
        yield one, two
