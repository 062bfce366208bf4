import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notification.domain import Notification, NotificationLog, contact_of
from services.notification.handlers import HANDLERS
from services.notification.settings import NotificationSettings
from services.notification.templates import REASONS, TEMPLATES, format_amount, render
from services.shared.contracts import AnyEvent, EventData, fraud, inventory, orders
from services.shared.contracts.inventory import InventoryOutOfStock
from services.shared.contracts.orders import (
    CancelReason,
    Contact,
    Line,
    OrderCancelled,
    OrderCancelling,
    OrderCompleted,
    OrderConfirmed,
    OrderCreated,
    OrderPaid,
    OrderPaymentReminder,
    OrderShipped,
    Participant,
)
from tests.events import RESERVED, order_created
from tests.services import settings_of
from warren_messaging.testing import event_of

ORDER_ID = UUID("0198c0de-0000-7000-8000-000000000001")
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
CREATED = order_created(("item1", 1), contact=Contact(email="ada@example.test"))
COMPLETING: tuple[EventData, ...] = (
    CREATED,
    RESERVED,
    OrderConfirmed(customer="ada"),
    OrderPaid(customer="ada", total_cents=1990, currency="EUR"),
    OrderShipped(customer="ada", tracking="WRN-1"),
    OrderCompleted(customer="ada"),
)
CANCELLED: tuple[EventData, ...] = (
    CREATED,
    InventoryOutOfStock(customer="ada", missing=[Line("item1", 1)]),
    OrderCancelling(customer="ada", reason=CancelReason.OUT_OF_STOCK, participants=[Participant.SHIPPING]),
    OrderCancelling(customer="ada", reason=CancelReason.OUT_OF_STOCK, participants=[Participant.INVENTORY]),
    OrderCancelled(customer="ada", reason=CancelReason.OUT_OF_STOCK),
)


def history(facts: tuple[EventData, ...]) -> list[AnyEvent]:
    return [
        event_of(data, subject=ORDER_ID, reference="123", time=NOON + timedelta(seconds=number))
        for number, data in enumerate(facts)
    ]


def notify(log: NotificationLog, event: AnyEvent) -> list[Notification]:
    if isinstance(event.data, OrderCreated):
        return log.set_contact(event.data, None)
    return log.on_event(event)


def test_every_event_of_the_queue_has_a_template_or_none() -> None:
    # A request to cancel is for the order service alone.
    from_order = {*orders.EVENTS} - {orders.OrderCancelRequested}
    can_arrive = from_order | {inventory.InventoryReserved, inventory.InventoryOutOfStock, fraud.FraudFlagged}
    assert set(TEMPLATES) == can_arrive
    assert set(HANDLERS) == can_arrive


def test_a_completed_order_has_four_notifications() -> None:
    log = NotificationLog(ORDER_ID)
    notified = [message.topic for event in history(COMPLETING) for _, message in notify(log, event)]
    assert notified == ["order.confirmed", "order.paid", "order.shipped", "order.completed"]


REMINDER = OrderPaymentReminder(customer="ada", total_cents=1990, currency="EUR")


@pytest.mark.parametrize(
    ("facts", "topics"),
    [
        ((CREATED, REMINDER, REMINDER, COMPLETING[3]), ["order.payment_reminder", "order.paid"]),
        ((REMINDER, CREATED), ["order.payment_reminder"]),
        ((CREATED, COMPLETING[3], REMINDER), ["order.paid"]),  # it was due at the moment of the payment
        ((CREATED, CANCELLED[-1], REMINDER), ["order.cancelled"]),
    ],
)
def test_a_customer_is_reminded_once_of_a_payment_that_is_still_missing(
    facts: tuple[EventData, ...], topics: list[str]
) -> None:
    log = NotificationLog(ORDER_ID)
    notifications = [message for event in history(facts) for _, message in notify(log, event)]
    assert [message.topic for message in notifications] == topics


def test_a_reminder_names_order_and_amount() -> None:
    text = render(event_of(REMINDER, reference="123"))
    assert text is not None
    assert text.title == "Payment of order 123 is missing"
    assert text.body.startswith("We have not received the 19.90 EUR for your order 123 yet.")


def test_an_order_out_of_stock_has_two_notifications() -> None:
    log = NotificationLog(ORDER_ID)
    notified = [message.topic for event in history(CANCELLED) for _, message in notify(log, event)]
    assert notified == ["inventory.out_of_stock", "order.cancelled"]


def test_events_wait_for_the_contact_and_are_notified_oldest_first() -> None:
    created, *rest = history(COMPLETING)
    random.shuffle(rest)
    log = NotificationLog(ORDER_ID)
    assert [notify(log, event) for event in rest] == [[]] * len(rest)
    notifications = notify(log, created)
    assert [message.topic for _, message in notifications] == [
        "order.confirmed",
        "order.paid",
        "order.shipped",
        "order.completed",
    ]
    assert all(message.contact.email == "ada@example.test" for _, message in notifications)
    assert all(event.type == message.topic for event, message in notifications)
    assert not log.waiting


@pytest.mark.parametrize("facts", [COMPLETING, CANCELLED])
@given(data=st.data())
def test_any_order_and_any_repetition_has_the_same_notifications(
    facts: tuple[EventData, ...], data: st.DataObject
) -> None:
    events = history(facts)
    in_order = NotificationLog(ORDER_ID)
    expected = Counter(message for event in events for _, message in notify(in_order, event))
    arriving = data.draw(st.permutations(events + data.draw(st.lists(st.sampled_from(events), max_size=8))))
    log = NotificationLog(ORDER_ID)
    notified = Counter(message for event in arriving for _, message in notify(log, event))
    assert notified == expected
    assert (log.notified, log.contact) == (in_order.notified, in_order.contact)
    assert not log.waiting


@pytest.mark.parametrize("reason", CancelReason)
def test_every_cancel_reason_has_a_text(reason: CancelReason) -> None:
    [event] = history((OrderCancelled(customer="ada", reason=reason),))
    text = render(event)
    assert text is not None
    assert REASONS[reason] in text.body
    assert reason.value not in text.body.split()


def test_missing_articles_are_listed_up_to_a_limit() -> None:
    missing = [Line(f"item{number}", 2) for number in range(23)]
    [event] = history((InventoryOutOfStock(customer="ada", missing=missing),))
    text = render(event)
    assert text is not None
    assert "item0 (2 missing)" in text.body
    assert text.body.endswith("- and 3 more")
    assert "item22" not in text.body


def test_a_shipped_order_names_its_tracking_number() -> None:
    [event] = history((OrderShipped(customer="ada", tracking="WRN-77"),))
    text = render(event)
    assert text is not None
    assert "WRN-77" in text.body
    assert "123" in text.title


def test_an_order_without_a_reference_is_named_by_its_id() -> None:
    text = render(event_of(OrderCompleted(customer="ada"), subject=ORDER_ID))
    assert text is not None
    assert str(ORDER_ID) in text.title


@pytest.mark.parametrize(("cents", "text"), [(0, "0.00 EUR"), (5, "0.05 EUR"), (123456, "1234.56 EUR")])
def test_amounts_have_two_decimals(cents: int, text: str) -> None:
    assert format_amount(cents, "EUR") == text


@pytest.mark.parametrize(
    ("customer", "given_", "domain", "expected"),
    [
        ("gayal", Contact(), "shop.test", Contact(email="gayal@shop.test")),
        ("gayal", Contact(), None, Contact()),
        ("gayal", Contact(phone="+491"), "shop.test", Contact(phone="+491")),
        ("gayal", Contact(email="a@b.test"), "shop.test", Contact(email="a@b.test")),
        ("gayal@evil.test", Contact(), "shop.test", Contact()),
        ("gayal\nBcc: x", Contact(), "shop.test", Contact()),
        ("", Contact(), "shop.test", Contact()),
        ("x" * 65, Contact(), "shop.test", Contact()),
    ],
)
def test_a_customer_without_a_contact_gets_an_address_of_the_domain(
    customer: str, given_: Contact, domain: str | None, expected: Contact
) -> None:
    created = msgspec.structs.replace(order_created(contact=given_), customer=customer)
    assert contact_of(created, domain) == expected


def test_by_default_there_is_no_contact_domain() -> None:
    assert settings_of(NotificationSettings).contact_domain is None


@pytest.mark.parametrize("domain", ["shop.test", "localhost"])
def test_a_contact_domain_is_accepted(domain: str) -> None:
    assert settings_of(NotificationSettings, contact_domain=domain).contact_domain == domain
