import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial

import pytest

from devtools.servers.servers import Servers
from services.shipping.domain import Pace
from services.shipping.handlers import HANDLERS
from services.shipping.store import Shipments
from tests.replica import Base, Replica, replica

Start = Callable[[Pace], AbstractAsyncContextManager[Replica]]


@pytest.fixture(scope="session")
def schema(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Base:
    base = Base(servers, tmp_path_factory.mktemp("secrets"))
    asyncio.run(base.prepare("shipping"))
    return base


@pytest.fixture
async def base(schema: Base) -> AsyncIterator[Base]:
    """Without shipments, since ticks look at all of them."""
    await schema.sql("TRUNCATE shipping.shipments, shipping.outbox, shipping.sequences, shipping.inbox")
    yield schema


@pytest.fixture
def start(base: Base) -> Iterator[Start]:
    """Start a replica that goes at some pace."""
    yield lambda pace: replica(base, "shipping", HANDLERS, partial(Shipments, pace=pace))
