from collections.abc import AsyncIterator

import pytest

from services.audit.handlers import HANDLERS
from services.audit.store import EventLog
from tests.service_replica import Replica, ServiceDatabase, replica
from tests.services import database_fixture
from warren_messaging.codec import Codec

db = database_fixture("audit")


@pytest.fixture
async def audit(db: ServiceDatabase) -> AsyncIterator[Replica]:
    async with replica(db, "audit", HANDLERS, EventLog, Codec({}, tolerant=True)) as audit:
        yield audit
