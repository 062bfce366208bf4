import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from devtools.servers.servers import Servers
from services.audit.handlers import HANDLERS
from services.audit.store import Log
from services.shared.contracts import AnyEvent
from tests.replica import Base
from tests.stage import Record
from warren_messaging.amqp.connection import BrokerAddress
from warren_messaging.amqp.publisher import Publisher
from warren_messaging.codec import Codec
from warren_messaging.consumer.processor import Processor, Verdict
from warren_messaging.outbox.outbox import Outbox
from warren_messaging.outbox.relay import Relay
from warren_messaging.postgres.database import Database
from warren_messaging.testing import delivery_of

_tags = itertools.count(1)


class Audit:
    """A replica that takes bodies, as the queue hands them out."""

    def __init__(self, base: Base) -> None:
        self.database = Database(base.address("audit"))
        self.record = Record()
        relay = Relay(self.database, Publisher(BrokerAddress("", Path()), "audit"), self.record)
        self._processor = Processor(
            consumer="audit",
            handlers=HANDLERS,
            transaction=Log,
            codec=Codec({}, tolerant=True),
            database=self.database,
            outbox=Outbox(self.database, relay, source="/warren/audit", exchange="order.exchange"),
            telemetry=self.record,
        )

    async def take(self, *given: AnyEvent | bytes) -> list[Verdict]:
        """One batch; the verdict on each."""
        deliveries = [delivery_of(each, tag=next(_tags)) for each in given]
        verdicts: dict[int, Verdict] = {}
        await self._processor.process(deliveries, lambda delivery, verdict: verdicts.update({delivery.tag: verdict}))
        return [verdicts[delivery.tag] for delivery in deliveries]


@pytest.fixture(scope="module")
def base(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Base]:
    base = Base(servers, tmp_path_factory.mktemp("secrets"))
    asyncio.run(base.prepare("audit"))
    yield base


@pytest.fixture
async def audit(base: Base) -> AsyncIterator[Audit]:
    audit = Audit(base)
    await audit.database.open()
    yield audit
    await audit.database.close()
