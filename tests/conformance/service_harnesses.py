"""The real handlers of all services on one real database. Broker, mail server and SMS gateway are doubles."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any
from uuid import UUID

from services.audit.handlers import HANDLERS as AUDIT
from services.audit.store import EventLog
from services.email.channel import channel
from services.fraud.domain import RuleLimits
from services.fraud.handlers import HANDLERS as FRAUD
from services.fraud.store import AssessmentRepository
from services.inventory.handlers import HANDLERS as INVENTORY
from services.inventory.store import StockRepository
from services.notification.handlers import HANDLERS as NOTIFICATION
from services.notification.store import NotificationLogRepository
from services.order.handlers import HANDLERS as ORDER
from services.order.placement_store import PaymentTerms, PlacementTransaction
from services.order.requests import Placement
from services.order.responses import PricedLine
from services.order.store import OrderRepository
from services.payment.handlers import handlers as payment
from services.payment.simulator.gateway import SimulatedGateway
from services.payment.store import PaymentRepository
from services.shared.contracts.orders import Contact
from services.shipping.domain import Delays
from services.shipping.handlers import HANDLERS as SHIPPING
from services.shipping.store import ShipmentRepository
from services.sms.channel import CHANNEL
from tests.service_replica import ServiceDatabase
from warren_messaging import Database
from warren_messaging.testing import ConsumerHarness

REMINDER_SECONDS = 300.0
STATE_TABLES = {
    "order": ("orders", "idempotency_keys"),
    "inventory": ("stock", "reservations"),
    "payment": ("payments",),
    "shipping": ("shipments",),
    "fraud": ("assessments",),
    "notification": ("conversations", "waiting"),
    "email": ("deliveries",),
    "sms": ("deliveries",),
    "audit": ("events", "contradictions"),
}


class MessageSink:
    """A mail server and an SMS gateway that keep the messages they get."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    async def send(self, message: Any) -> None:
        self.sent.append(message)


class ServiceHarnesses:
    """One harness for each service that has a database."""

    def __init__(self, db: ServiceDatabase, databases: dict[str, Database], gateway: SimulatedGateway) -> None:
        self.db = db
        self.mails, self.texts = MessageSink(), MessageSink()
        publishes = {"exchange": "notification.exchange"}
        consumes = {"source_exchange": "notification.exchange"}
        email = channel("shop@warren.example")
        parts: dict[str, tuple[Any, Any, dict[str, Any]]] = {
            "order": (ORDER, OrderRepository, {}),
            "inventory": (INVENTORY, StockRepository, {}),
            "payment": (payment(gateway), PaymentRepository, {}),
            "shipping": (SHIPPING, partial(ShipmentRepository, delays=Delays()), {}),
            "fraud": (FRAUD, partial(AssessmentRepository, limits=RuleLimits()), {}),
            "notification": (NOTIFICATION, partial(NotificationLogRepository, contact_domain="shop.test"), publishes),
            "email": (email.handlers(self.mails.send), email.repository(), consumes),
            "sms": (CHANNEL.handlers(self.texts.send), CHANNEL.repository(), consumes),
            "audit": (AUDIT, EventLog, {"catalogue": {}, "tolerant": True, "dedup_key": lambda event: event.id}),
        }
        self.by_name = {
            name: ConsumerHarness(handlers, transaction, service=name, database=databases[name], **options)
            for name, (handlers, transaction, options) in parts.items()
            if name in databases
        }

    async def place(
        self, order_id: UUID, *, pays_with: str = "tok_ok", sku: str = "mug", suspicious: bool = False
    ) -> None:
        """Place an order as the HTTP process does; its reference is its id."""
        cents, domain = (100_000, "mailinator.com") if suspicious else (950, "customers.example")
        placement = Placement(
            order_id=order_id,
            customer="gayal",
            reference=str(order_id),
            key=None,
            fingerprint=order_id.bytes,
            lines=[PricedLine(sku, 1, cents)],
            total_cents=cents,
            currency="EUR",
            payment_token=pays_with,
            express=suspicious,
            contact=Contact(email=f"gayal@{domain}", phone="+94112345678"),
        )
        async with self.by_name["order"].outbox.transaction(PlacementTransaction) as uow:
            await uow.decide([placement], PaymentTerms(3600, reminder_seconds=REMINDER_SECONDS))

    async def stock(self, **pieces: int) -> None:
        await self.db.sql(
            "INSERT INTO inventory.stock (sku, on_hand, reserved, sold, received)"
            " SELECT s, q, 0, 0, q FROM unnest($1::text[], $2::bigint[]) AS t (s, q) ON CONFLICT DO NOTHING",
            list(pieces),
            list(pieces.values()),
        )

    async def state(self, service: str) -> list[str]:
        """Return every row of the service's own tables, without the times of the last change."""
        tables = " UNION ALL ".join(
            f"SELECT '{table}', (to_jsonb(t) - $1::text[])::text FROM \"{service}\".{table} t"  # noqa: S608
            for table in STATE_TABLES[service]
        )
        return sorted(f"{table} {row}" for table, row in await self.db.sql(tables, ["updated_at", "last_at"]))


@asynccontextmanager
async def service_harnesses(db: ServiceDatabase, *services: str) -> AsyncIterator[ServiceHarnesses]:
    """Harnesses of these services, or of all services."""
    async with AsyncExitStack() as stack:
        databases = {}
        for name in services or STATE_TABLES:
            databases[name] = Database(db.address(name), connections=3)
            await databases[name].open()
            stack.push_async_callback(databases[name].close)
        gateway = SimulatedGateway(db.address("gateway"), timeout_seconds=2)
        stack.push_async_callback(gateway.close)
        yield ServiceHarnesses(db, databases, gateway)
