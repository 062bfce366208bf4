import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from devtools.servers.servers import Servers
from services.audit.handlers import HANDLERS
from services.audit.store import Log
from tests.service_replica import Replica, ServiceDatabase, replica
from warren_messaging.codec import Codec


@pytest.fixture(scope="module")
def db(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceDatabase]:
    db = ServiceDatabase(servers, tmp_path_factory.mktemp("secrets"))
    asyncio.run(db.prepare("audit"))
    yield db


@pytest.fixture
async def audit(db: ServiceDatabase) -> AsyncIterator[Replica]:
    async with replica(db, "audit", HANDLERS, Log, Codec({}, tolerant=True)) as audit:
        yield audit
