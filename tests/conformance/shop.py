"""The services' real handlers on one real database, with doubles for everything outside of them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any
from uuid import UUID

from services.audit.handlers import HANDLERS as AUDIT
from services.audit.store import EventLog
from services.email.channel import channel
from services.inventory.handlers import HANDLERS as INVENTORY
from services.inventory.store import StockRepository
from services.notification.handlers import HANDLERS as NOTIFICATION
from services.notification.store import NotificationLogRepository
from services.order.handlers import HANDLERS as ORDER
from services.order.placement_store import PlacementTransaction
from services.order.requests import Placement
from services.order.responses import PricedLine
from services.order.store import OrderRepository
from services.payment.handlers import handlers as payment
from services.payment.simulator.gateway import SimulatedGateway
from services.payment.store import PaymentRepository
from services.shared.contracts import AnyEvent
from services.shared.contracts.orders import Contact
from services.shipping.domain import Delays
from services.shipping.handlers import HANDLERS as SHIPPING
from services.shipping.store import ShipmentRepository
from services.sms.channel import CHANNEL
from tests.service_replica import ServiceDatabase
from warren_messaging import Database
from warren_messaging.testing import ConsumerHarness

TABLES = {
    "order": ("orders", "idempotency_keys"),
    "inventory": ("stock", "reservations"),
    "payment": ("payments",),
    "shipping": ("shipments",),
    "notification": ("conversations", "waiting"),
    "email": ("deliveries",),
    "sms": ("deliveries",),
    "audit": ("events", "contradictions"),
}


class Outbox:
    """Takes mails and text messages, and remembers them."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    async def send(self, message: Any) -> None:
        self.sent.append(message)


class Shop:
    """One harness of each service that has a database; `place` places orders as the HTTP process would."""

    def __init__(self, db: ServiceDatabase, databases: dict[str, Database], gateway: SimulatedGateway) -> None:
        self.db = db
        self.mails, self.messages = Outbox(), Outbox()
        told = {"exchange": "notification.exchange"}
        source = {"source_exchange": "notification.exchange"}
        email = channel("shop@warren.example")
        parts: dict[str, tuple[Any, Any, dict[str, Any]]] = {
            "order": (ORDER, OrderRepository, {}),
            "inventory": (INVENTORY, StockRepository, {}),
            "payment": (payment(gateway), PaymentRepository, {}),
            "shipping": (SHIPPING, partial(ShipmentRepository, delays=Delays()), {}),
            "notification": (NOTIFICATION, partial(NotificationLogRepository, contact_domain="shop.test"), told),
            "email": (email.handlers(self.mails.send), email.repository(), source),
            "sms": (CHANNEL.handlers(self.messages.send), CHANNEL.repository(), source),
            "audit": (AUDIT, EventLog, {"catalogue": {}, "tolerant": True, "dedup_key": _own_id}),
        }
        self.services = {
            name: ConsumerHarness(handlers, transaction, service=name, database=databases[name], **options)
            for name, (handlers, transaction, options) in parts.items()
            if name in databases
        }

    async def place(self, order_id: UUID, reference: str, *, pays_with: str = "tok_ok", sku: str = "mug") -> None:
        placement = Placement(
            order_id=order_id,
            customer="gayal",
            reference=reference,
            key=None,
            fingerprint=order_id.bytes,
            lines=[PricedLine(sku, 1, 950)],
            total_cents=950,
            currency="EUR",
            payment_token=pays_with,
            express=False,
            contact=Contact(email="gayal@customers.example", phone="+94112345678"),
        )
        async with self.services["order"].outbox.transaction(PlacementTransaction) as uow:
            await uow.decide([placement], deadline_seconds=3600)

    async def stock(self, **pieces: int) -> None:
        await self.db.sql(
            "INSERT INTO inventory.stock (sku, on_hand, reserved, sold, received)"
            " SELECT s, q, 0, 0, q FROM unnest($1::text[], $2::bigint[]) AS t (s, q) ON CONFLICT DO NOTHING",
            list(pieces),
            list(pieces.values()),
        )

    async def state(self, service: str) -> list[str]:
        """Every row that the service keeps, but for the library's tables and the times of the last change."""
        tables = " UNION ALL ".join(
            f"SELECT '{table}', (to_jsonb(t) - $1::text[])::text FROM \"{service}\".{table} t"  # noqa: S608
            for table in TABLES[service]
        )
        return sorted(f"{table} {row}" for table, row in await self.db.sql(tables, ["updated_at", "last_at"]))


def _own_id(event: AnyEvent) -> UUID:
    return event.id


@asynccontextmanager
async def opened(db: ServiceDatabase, *services: str) -> AsyncIterator[Shop]:
    """Of these services, or of all."""
    async with AsyncExitStack() as stack:
        databases = {}
        for name in services or TABLES:
            databases[name] = Database(db.address(name), connections=3)
            await databases[name].open()
            stack.push_async_callback(databases[name].close)
        gateway = SimulatedGateway(db.address("gateway"), timeout_seconds=2)
        stack.push_async_callback(gateway.close)
        shop = Shop(db, databases, gateway)
        yield shop
