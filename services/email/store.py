"""The record of mails in the database."""

import hashlib
from enum import StrEnum
from uuid import UUID

from services.shared.contracts import Event
from services.shared.contracts.notifications import NotificationRequested
from warren_messaging.postgres.retention import Rule, by_age
from warren_messaging.transaction import Connection, Transaction


class State(StrEnum):
    SKIPPED = "skipped"
    """The customer has no mail address."""
    SENDING = "sending"
    """Being sent, waiting for another try, or parked: the table `failures` says which, under the same id."""
    SENT = "sent"
    """The mail server has taken responsibility for it."""


class Deliveries(Transaction):
    """The records that a batch touches."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._noted: dict[UUID, tuple[Event[NotificationRequested], State]] = {}

    def note(self, event: Event[NotificationRequested], state: State) -> None:
        self._noted[event.logicalid] = (event, state)

    async def save(self) -> None:
        """What is sent stays sent, whatever a repetition notes."""
        if not self._noted:
            return
        noted = [self._noted[key] for key in sorted(self._noted)]
        await self.connection.execute(
            "INSERT INTO deliveries AS d (id, order_id, topic, state, address_hash, sent_at)"
            " SELECT id, order_id, topic, state, address_hash, CASE state WHEN 'sent' THEN now() END"
            " FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bytea[])"
            " AS n (id, order_id, topic, state, address_hash)"
            " ON CONFLICT (id) DO UPDATE SET state = excluded.state, sent_at = excluded.sent_at"
            " WHERE d.state <> 'sent'",
            [event.logicalid for event, _ in noted],
            [event.subject for event, _ in noted],
            [event.data.topic for event, _ in noted],
            [state.value for _, state in noted],
            [_hash(event.data.contact.email) for event, _ in noted],
        )


def retention_rules(days: int) -> Rule:
    """What was sent or skipped so long ago. What is still to be sent stays."""
    return by_age("deliveries", "t.noted_at < now() - make_interval(days => $1) AND t.state <> 'sending'", days)


def _hash(address: str | None) -> bytes | None:
    """Enough to find out whether somebody got a mail, and no list of addresses to lose."""
    return None if address is None else hashlib.sha256(address.strip().lower().encode()).digest()
