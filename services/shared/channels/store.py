"""The delivery records of one channel in its database."""

from enum import StrEnum
from uuid import UUID

from services.shared.contracts import Event
from services.shared.contracts.notifications import NotificationRequested
from warren_messaging.postgres.retention import RetentionRule, by_age
from warren_messaging.transaction import Connection, Transaction


class DeliveryState(StrEnum):
    SKIPPED = "skipped"
    """The customer has no address for this channel."""
    SENDING = "sending"
    """In progress, waiting for a retry, or parked: the table `failures` says which, under the same id."""
    SENT = "sent"
    """The provider has accepted the message."""


Delivery = tuple[Event[NotificationRequested], DeliveryState, bytes | None]
"""The notification, its state, and the hash of the address."""


class DeliveryRepository(Transaction):
    """Collects the delivery records of one batch and writes them with one statement."""

    def __init__(self, connection: Connection, hash_column: str) -> None:
        super().__init__(connection)
        self._hash_column = hash_column
        self._deliveries: dict[UUID, Delivery] = {}

    def record(self, event: Event[NotificationRequested], state: DeliveryState, address_hash: bytes | None) -> None:
        self._deliveries[event.logicalid] = (event, state, address_hash)

    async def save(self) -> None:
        """A record in state SENT never changes again, not even by a repeated notification."""
        if not self._deliveries:
            return
        deliveries = [self._deliveries[key] for key in sorted(self._deliveries)]
        await self.connection.execute(
            f"INSERT INTO deliveries AS d (id, order_id, topic, state, {self._hash_column}, sent_at)"  # noqa: S608
            " SELECT id, order_id, topic, state, address_hash, CASE state WHEN 'sent' THEN now() END"
            " FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bytea[])"
            " AS n (id, order_id, topic, state, address_hash)"
            " ON CONFLICT (id) DO UPDATE SET state = excluded.state, sent_at = excluded.sent_at"
            " WHERE d.state <> 'sent'",
            [event.logicalid for event, _, _ in deliveries],
            [event.subject for event, _, _ in deliveries],
            [event.data.topic for event, _, _ in deliveries],
            [state.value for _, state, _ in deliveries],
            [address_hash for _, _, address_hash in deliveries],
        )


def retention_rules(days: int) -> list[RetentionRule]:
    """Return the rule that removes sent and skipped deliveries after `days`. Unfinished deliveries stay."""
    return [by_age("deliveries", "t.noted_at < now() - make_interval(days => $1) AND t.state <> 'sending'", days)]
