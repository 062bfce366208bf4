"""Conversations in the database."""

from collections.abc import Sequence
from uuid import UUID

from services.notification.domain import Conversation
from services.notification.wording import WORDING
from services.shared.contracts import CATALOGUE, AnyEvent
from services.shared.contracts.orders import Contact, OrderCreated
from warren_messaging.codec import Codec, encode
from warren_messaging.postgres.retention import RetentionRule, by_age
from warren_messaging.transaction import Connection, Transaction

NEWS_DAYS = 1  # that news waits for somebody to tell it to

_codec = Codec(CATALOGUE)


class Conversations(Transaction):
    """The conversations that a batch touches. `contact_domain`: see contact_of."""

    def __init__(self, connection: Connection, contact_domain: str | None = None) -> None:
        super().__init__(connection)
        self.contact_domain = contact_domain
        self._loaded: dict[UUID, Conversation] = {}
        self._waiting_before: dict[UUID, set[str]] = {}

    def about(self, order: UUID) -> Conversation:
        return self._loaded[order]

    async def load(self, events: Sequence[AnyEvent]) -> None:
        orders = sorted({event.subject for event in events if _matters(event)})
        if not orders:
            return
        await self.connection.execute(
            "INSERT INTO conversations (order_id) SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING", orders
        )
        rows = await self.connection.fetch(
            "SELECT order_id, customer, contact_known, email, phone, told FROM conversations"
            " WHERE order_id = ANY($1::uuid[]) ORDER BY order_id FOR UPDATE",
            orders,
        )
        # A statement of its own: what another transaction stored while we waited for its lock is seen only by
        # a statement that begins after it.
        news = await self.connection.fetch("SELECT order_id, event FROM waiting WHERE order_id = ANY($1)", orders)
        waiting: dict[UUID, list[AnyEvent]] = {order: [] for order in orders}
        for order, body in news:
            waiting[order].append(_codec.decode(body))
        for order, customer, known, email, phone, told in rows:
            contact = Contact(email=email, phone=phone) if known else None
            self._loaded[order] = Conversation(
                order, customer=customer, contact=contact, told=told, waiting=waiting[order]
            )
            self._waiting_before[order] = {event.type for event in waiting[order]}

    async def save(self) -> None:
        if not self._loaded:
            return
        conversations = [self._loaded[order] for order in sorted(self._loaded)]
        await self.connection.execute(
            "UPDATE conversations AS c SET customer = n.customer, contact_known = n.known, email = n.email,"
            " phone = n.phone, told = string_to_array(n.told, ' '), last_at = now()"
            " FROM unnest($1::uuid[], $2::text[], $3::bool[], $4::text[], $5::text[], $6::text[])"
            " AS n (order_id, customer, known, email, phone, told) WHERE c.order_id = n.order_id",
            [each.order for each in conversations],
            [each.customer for each in conversations],
            [each.contact is not None for each in conversations],
            [each.contact and each.contact.email for each in conversations],
            [each.contact and each.contact.phone for each in conversations],
            [" ".join(sorted(each.told)) for each in conversations],
        )
        arrived = [
            (each.order, topic, encode(event))
            for each in conversations
            for topic, event in each.waiting.items()
            if topic not in self._waiting_before[each.order]
        ]
        if arrived:
            await self.connection.execute(
                "INSERT INTO waiting (order_id, topic, event) SELECT * FROM unnest($1::uuid[], $2::text[], $3::bytea[])"
                " ON CONFLICT DO NOTHING",
                *(list(column) for column in zip(*arrived, strict=True)),
            )
        told = [each.order for each in conversations if self._waiting_before[each.order] and not each.waiting]
        if told:
            await self.connection.execute("DELETE FROM waiting WHERE order_id = ANY($1::uuid[])", told)


def retention_rules(contact_days: int) -> list[RetentionRule]:
    """News that has waited longer than it is worth, and people's addresses when nothing new was heard for long."""
    return [
        by_age("waiting", "t.since < now() - make_interval(days => $1)", NEWS_DAYS),
        by_age("conversations", "t.last_at < now() - make_interval(days => $1)", contact_days, subject="order_id"),
    ]


def _matters(event: AnyEvent) -> bool:
    return isinstance(event.data, OrderCreated) or WORDING[type(event.data)] is not None
