"""A relay that hands committed events on at once, without a broker."""

from collections import deque
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from warren_messaging.amqp.connection import BrokerAddress
from warren_messaging.amqp.publisher import Publisher
from warren_messaging.outbox.relay import OutboxEntry, PublishSlot, Relay
from warren_messaging.postgres.database import Database
from warren_messaging.telemetry import Telemetry

NOBODY = UUID(int=0)
FOREVER = 10**6  # seconds; on a real database no sweeper takes what was handed on from here


class InMemoryRelay(Relay):
    """Calls `publish` for each event in the order of the commits, as a faultless relay would.

    On a real database the rows stay in the outbox: nobody has confirmed them.
    """

    def __init__(self, database: Database, telemetry: Telemetry, publish: Callable[[OutboxEntry], None]) -> None:
        super().__init__(database, Publisher(BrokerAddress("", Path()), "harness"), telemetry)
        self._publish_entry = publish
        self._line: deque[PublishSlot] = deque()

    def reserve(self) -> PublishSlot:
        slot = PublishSlot(self, NOBODY, FOREVER)
        self._line.append(slot)
        return slot

    def accept(self, slot: PublishSlot) -> None:
        while self._line and self._line[0].settled:
            for entry in self._line.popleft().entries:
                self._publish_entry(entry)
