from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial

import pytest

from services.shipping.domain import Delays
from services.shipping.handlers import HANDLERS
from services.shipping.store import ShipmentRepository
from tests.service_replica import Replica, ServiceDatabase, replica
from tests.services import database_fixture

Start = Callable[[Delays], AbstractAsyncContextManager[Replica]]


schema = database_fixture("shipping")


@pytest.fixture
async def db(schema: ServiceDatabase) -> AsyncIterator[ServiceDatabase]:
    """The schema without shipments, since a periodic job processes all that exist."""
    await schema.sql("TRUNCATE shipping.shipments, shipping.outbox, shipping.sequences, shipping.inbox")
    yield schema


@pytest.fixture
def start(db: ServiceDatabase) -> Iterator[Start]:
    """Starts a replica with these delays."""
    yield lambda delays: replica(db, "shipping", HANDLERS, partial(ShipmentRepository, delays=delays))
