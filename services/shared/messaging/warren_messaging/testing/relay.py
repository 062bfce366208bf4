"""A relay that publishes committed events at once, without a broker."""

from collections import deque
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from warren_messaging.amqp.connection import BrokerAddress
from warren_messaging.amqp.publisher import Publisher
from warren_messaging.outbox.relay import OutboxEntry, PublishSlot, Relay
from warren_messaging.postgres.database import Database
from warren_messaging.telemetry import Telemetry

NO_OWNER = UUID(int=0)
LEASE_SECONDS = 10**6  # on a real database no relay takes over the rows


class InMemoryRelay(Relay):
    """Calls `publish` for each event in the order of the commits. On a real database the rows stay in the outbox."""

    def __init__(self, database: Database, telemetry: Telemetry, publish: Callable[[OutboxEntry], None]) -> None:
        super().__init__(database, Publisher(BrokerAddress("", Path()), "harness"), telemetry)
        self._publish_entry = publish
        self._slots: deque[PublishSlot] = deque()

    def reserve(self) -> PublishSlot:
        slot = PublishSlot(self, NO_OWNER, LEASE_SECONDS)
        self._slots.append(slot)
        return slot

    def accept(self, slot: PublishSlot) -> None:
        while self._slots and self._slots[0].closed:
            for entry in self._slots.popleft().entries:
                self._publish_entry(entry)
