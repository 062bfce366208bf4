"""The tables `conversations` (one row per notification log) and `waiting` (events without a contact yet)."""

from collections.abc import Sequence
from uuid import UUID

from services.notification.domain import NotificationLog
from services.notification.templates import TEMPLATES
from services.shared.chassis.repository import columns
from services.shared.contracts import CATALOGUE, AnyEvent
from services.shared.contracts.orders import Contact, OrderCreated
from warren_messaging.codec import Codec, encode
from warren_messaging.postgres.retention import RetentionRule, by_age
from warren_messaging.transaction import Connection, Transaction

WAITING_DAYS = 1  # that an event waits for a contact

_codec = Codec(CATALOGUE)


class NotificationLogRepository(Transaction):
    """The logs of the orders in a batch. For `contact_domain` see `contact_of`."""

    def __init__(self, connection: Connection, contact_domain: str | None = None) -> None:
        super().__init__(connection)
        self.contact_domain = contact_domain
        self._logs: dict[UUID, NotificationLog] = {}
        self._stored_waiting: dict[UUID, set[str]] = {}

    def get(self, order_id: UUID) -> NotificationLog:
        return self._logs[order_id]

    async def load(self, events: Sequence[AnyEvent]) -> None:
        order_ids = sorted({event.subject for event in events if _is_notified(event)})
        if not order_ids:
            return
        await self.connection.execute(
            "INSERT INTO conversations (order_id) SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING", order_ids
        )
        rows = await self.connection.fetch(
            "SELECT order_id, customer, contact_known, email, phone, notified FROM conversations"
            " WHERE order_id = ANY($1::uuid[]) ORDER BY order_id FOR UPDATE",
            order_ids,
        )
        # A separate statement: it must start after the locks are acquired to see what their last holder stored.
        stored = await self.connection.fetch("SELECT order_id, event FROM waiting WHERE order_id = ANY($1)", order_ids)
        waiting: dict[UUID, list[AnyEvent]] = {order_id: [] for order_id in order_ids}
        for order_id, body in stored:
            waiting[order_id].append(_codec.decode(body))
        for order_id, customer, contact_known, email, phone, notified in rows:
            contact = Contact(email=email, phone=phone) if contact_known else None
            self._logs[order_id] = NotificationLog(
                order_id, customer=customer, contact=contact, notified=notified, waiting=waiting[order_id]
            )
            self._stored_waiting[order_id] = {event.type for event in waiting[order_id]}

    async def save(self) -> None:
        if not self._logs:
            return
        logs = [self._logs[order_id] for order_id in sorted(self._logs)]
        await self.connection.execute(
            "UPDATE conversations AS c SET customer = n.customer, contact_known = n.known, email = n.email,"
            " phone = n.phone, notified = string_to_array(n.notified, ' '), last_at = now()"
            " FROM unnest($1::uuid[], $2::text[], $3::bool[], $4::text[], $5::text[], $6::text[])"
            " AS n (order_id, customer, known, email, phone, notified) WHERE c.order_id = n.order_id",
            *columns(
                (
                    each.order_id,
                    each.customer,
                    each.contact is not None,
                    each.contact and each.contact.email,
                    each.contact and each.contact.phone,
                    " ".join(sorted(each.notified)),
                )
                for each in logs
            ),
        )
        arrived = [
            (each.order_id, topic, encode(event))
            for each in logs
            for topic, event in each.waiting.items()
            if topic not in self._stored_waiting[each.order_id]
        ]
        if arrived:
            await self.connection.execute(
                "INSERT INTO waiting (order_id, topic, event) SELECT * FROM unnest($1::uuid[], $2::text[], $3::bytea[])"
                " ON CONFLICT DO NOTHING",
                *columns(arrived),
            )
        released = [each.order_id for each in logs if self._stored_waiting[each.order_id] and not each.waiting]
        if released:
            await self.connection.execute("DELETE FROM waiting WHERE order_id = ANY($1::uuid[])", released)


def retention_rules(contact_days: int) -> list[RetentionRule]:
    """Return the rules that remove events that waited too long, and logs of orders without recent events."""
    return [
        by_age("waiting", "t.since < now() - make_interval(days => $1)", WAITING_DAYS),
        by_age("conversations", "t.last_at < now() - make_interval(days => $1)", contact_days, subject="order_id"),
    ]


def _is_notified(event: AnyEvent) -> bool:
    return isinstance(event.data, OrderCreated) or TEMPLATES[type(event.data)] is not None
