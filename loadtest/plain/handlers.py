"""The handlers of the plain implementation: the same steps as in Warren, one statement after another."""

import secrets
from collections.abc import Mapping, Sequence

import msgspec

from loadtest.plain import outbox
from loadtest.plain.service import Connection, Handler
from services.shared.contracts import AnyEvent, Event, EventData
from services.shared.contracts.inventory import InventoryCommitted, InventoryReserved
from services.shared.contracts.notifications import NotificationRequested
from services.shared.contracts.orders import (
    Contact,
    Line,
    OrderCompleted,
    OrderConfirmed,
    OrderCreated,
    OrderPaid,
    OrderShipped,
)
from services.shared.contracts.payments import PaymentSuccess
from services.shared.contracts.shipping import ShippingDelivered, ShippingPrepared

Events = Sequence[EventData]

_lines = msgspec.json.Decoder(list[Line])

# Inventory


async def reserve(event: Event[OrderCreated], connection: Connection) -> Events:
    order = event.data
    for line in sorted(order.lines, key=lambda each: each.sku):
        taken = await connection.execute(
            "UPDATE stock SET on_hand = on_hand - $2, reserved = reserved + $2 WHERE sku = $1 AND on_hand >= $2",
            line.sku,
            line.quantity,
        )
        if taken != "UPDATE 1":
            raise LookupError(f"{line.sku} is out of stock")
    await connection.execute(
        "INSERT INTO reservations (order_id, state, lines) VALUES ($1, 'reserved', $2)",
        event.subject,
        msgspec.json.encode(order.lines).decode(),
    )
    return [
        InventoryReserved(
            customer=order.customer,
            total_cents=order.total_cents,
            currency=order.currency,
            payment_token=order.payment_token,
        )
    ]


async def commit(event: Event[PaymentSuccess], connection: Connection) -> Events:
    lines = _lines.decode(
        await connection.fetchval(
            "UPDATE reservations SET state = 'sold', updated_at = now() WHERE order_id = $1 RETURNING lines",
            event.subject,
        )
    )
    for line in sorted(lines, key=lambda each: each.sku):
        await connection.execute(
            "UPDATE stock SET reserved = reserved - $2, sold = sold + $2 WHERE sku = $1", line.sku, line.quantity
        )
    return [InventoryCommitted(lines=lines)]


# Payment


async def charge(event: Event[InventoryReserved], connection: Connection) -> Events:
    order, charge_id = event.data, f"ch_{secrets.token_hex(12)}"
    await connection.execute(
        "INSERT INTO gateway_charges (key, charge_id, amount_cents) VALUES ($1, $2, $3)",
        str(event.subject),
        charge_id,
        order.total_cents,
    )
    await connection.execute(
        "INSERT INTO gateway_entries (key, kind, amount_cents) VALUES ($1, 'charge', $2)",
        str(event.subject),
        order.total_cents,
    )
    await connection.execute(
        "INSERT INTO payments (order_id, state, amount_cents, currency, charge_id) VALUES ($1, 'paid', $2, $3, $4)",
        event.subject,
        order.total_cents,
        order.currency,
        charge_id,
    )
    return [
        PaymentSuccess(
            customer=order.customer, charge_id=charge_id, amount_cents=order.total_cents, currency=order.currency
        )
    ]


# Shipping


async def ship(event: Event[PaymentSuccess], connection: Connection) -> Events:
    tracking = f"WR{event.subject.hex[:12].upper()}"
    await connection.execute(
        "INSERT INTO shipments (order_id, state, tracking) VALUES ($1, 'delivered', $2)", event.subject, tracking
    )
    return [ShippingPrepared(tracking=tracking), ShippingDelivered(tracking=tracking)]


# Order

HAPPY_PATH = ("PENDING", "CONFIRMED", "PAID", "SHIPPED", "COMPLETED")
MILESTONES = ("inventory.reserved", "payment.success", "shipping.prepared", "shipping.delivered")


async def advance(event: AnyEvent, connection: Connection) -> Events:
    """Derive the state from all facts, which arrive in any order."""
    row = await connection.fetchrow(
        "SELECT customer, total_cents, currency, facts, state, tracking FROM orders WHERE id = $1 FOR UPDATE",
        event.subject,
    )
    if row is None:
        raise LookupError(f"there is no order {event.subject}")
    facts = {*row["facts"], event.type}
    reached = next((index for index, fact in enumerate(MILESTONES) if fact not in facts), len(MILESTONES))
    tracking = getattr(event.data, "tracking", row["tracking"])
    await connection.execute(
        "UPDATE orders SET facts = $2, state = $3, tracking = $4, updated_at = now() WHERE id = $1",
        event.subject,
        list(facts),
        HAPPY_PATH[reached],
        tracking,
    )
    customer = row["customer"]
    published: dict[str, EventData] = {
        "CONFIRMED": OrderConfirmed(customer=customer),
        "PAID": OrderPaid(customer=customer, total_cents=row["total_cents"], currency=row["currency"]),
        "SHIPPED": OrderShipped(customer=customer, tracking=tracking or ""),
        "COMPLETED": OrderCompleted(customer=customer),
    }
    return [published[state] for state in HAPPY_PATH[HAPPY_PATH.index(row["state"]) + 1 : reached + 1]]


# Notification

TEXTS: Mapping[str, str] = {
    "order.confirmed": "Your order is confirmed.",
    "order.paid": "Your order is paid.",
    "order.shipped": "Your order is on its way.",
    "order.completed": "Your order has arrived.",
}


async def notify(event: AnyEvent, connection: Connection) -> Events:
    """Request one notification for each of four topics; other events are received and ignored."""
    text = TEXTS.get(event.type)
    if text is None and event.type != "order.created":
        return []
    await connection.execute(
        "INSERT INTO conversations AS c (order_id, customer, topics) VALUES ($1, $2, ARRAY[$3])"
        " ON CONFLICT (order_id) DO UPDATE SET topics = c.topics || excluded.topics, last_at = now()",
        event.subject,
        event.data.customer,
        event.type,
    )
    if text is None:
        return []
    message = NotificationRequested(
        customer=event.data.customer,
        contact=Contact(),
        topic=event.type,
        title=f"Order {event.subject}",
        text=f"{text}\nWe keep you informed about your order {event.subject}.",
    )
    return [message]


# Fraud: each customer of the load run places few and small orders


async def assess(event: Event[OrderCreated], connection: Connection) -> Events:
    await connection.fetchval(
        "SELECT count(*) FROM assessments WHERE customer = $1 AND assessed_at > now() - interval '1 hour'",
        event.data.customer,
    )
    await connection.execute(
        "INSERT INTO assessments (order_id, customer, score) VALUES ($1, $2, 0)", event.subject, event.data.customer
    )
    return []


# Channels: no customer has an address


def _skip(table: str) -> Handler:
    statement = f"INSERT INTO {table} (id, order_id, topic, state) VALUES ($1, $2, $3, 'skipped')"  # noqa: S608

    async def skip(event: Event[NotificationRequested], connection: Connection) -> Events:
        await connection.execute(statement, event.logicalid, event.subject, event.data.topic)
        return []

    return skip


# Audit


async def record(event: AnyEvent, connection: Connection) -> Events:
    await connection.execute(
        "INSERT INTO audit_events (id, source, subject, type, time, body) VALUES ($1, $2, $3, $4, $5, $6)",
        event.id,
        event.source,
        event.subject,
        event.type,
        event.time,
        outbox.encode(event),
    )
    return []


HANDLERS: Mapping[str, Mapping[str, Handler]] = {
    "order-worker": {"*": advance},
    "inventory": {"order.created": reserve, "payment.success": commit},
    "payment": {"inventory.reserved": charge},
    "shipping": {"payment.success": ship},
    "fraud": {"order.created": assess},
    "notification": {"*": notify},
    "email": {"*": _skip("email_deliveries")},
    "sms": {"*": _skip("sms_deliveries")},
    "audit": {"*": record},
}
"""By process, then by event type; "*" stands for every other type."""
