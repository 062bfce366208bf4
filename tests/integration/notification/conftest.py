from collections.abc import AsyncIterator
from functools import partial

import pytest

from services.notification.handlers import HANDLERS
from services.notification.store import NotificationLogRepository
from tests.service_replica import Replica, ServiceDatabase
from tests.services import database_fixture, two_replicas

db = database_fixture("notification")


@pytest.fixture
async def replicas(db: ServiceDatabase) -> AsyncIterator[tuple[Replica, Replica]]:
    repository = partial(NotificationLogRepository, contact_domain="shop.test")
    async with two_replicas(db, "notification", HANDLERS, repository) as replicas:
        yield replicas
