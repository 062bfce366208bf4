import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notification.domain import Conversation, Telling, contact_of
from services.notification.handlers import HANDLERS
from services.notification.wording import REASONS, WORDING, money, words
from services.shared.contracts import AnyEvent, EventData, inventory, orders
from services.shared.contracts.inventory import InventoryOutOfStock, InventoryReserved
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
    OrderShipped,
    Participant,
)
from warren_messaging.testing import event_of

ORDER = UUID("0198c0de-0000-7000-8000-000000000001")
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
CREATED = OrderCreated(
    customer="gayal",
    lines=[Line("item1", 1)],
    total_cents=1990,
    currency="EUR",
    payment_token="tok_ok",
    contact=Contact(email="gayal@example.test"),
)
COMPLETING: tuple[EventData, ...] = (
    CREATED,
    InventoryReserved(customer="gayal", total_cents=1990, currency="EUR", payment_token="tok_ok"),
    OrderConfirmed(customer="gayal"),
    OrderPaid(customer="gayal", total_cents=1990, currency="EUR"),
    OrderShipped(customer="gayal", tracking="WRN-1"),
    OrderCompleted(customer="gayal"),
)
CANCELLED: tuple[EventData, ...] = (
    CREATED,
    InventoryOutOfStock(customer="gayal", missing=[Line("item1", 1)]),
    OrderCancelling(customer="gayal", reason=CancelReason.OUT_OF_STOCK, participants=[Participant.SHIPPING]),
    OrderCancelling(customer="gayal", reason=CancelReason.OUT_OF_STOCK, participants=[Participant.INVENTORY]),
    OrderCancelled(customer="gayal", reason=CancelReason.OUT_OF_STOCK),
)


def history(facts: tuple[EventData, ...]) -> list[AnyEvent]:
    return [
        event_of(data, subject=ORDER, reference="123", time=NOON + timedelta(seconds=number))
        for number, data in enumerate(facts)
    ]


def tell(conversation: Conversation, event: AnyEvent) -> list[Telling]:
    if isinstance(event.data, OrderCreated):
        return conversation.introduce(event.data, None)
    return conversation.hear(event)


def test_every_event_that_can_arrive_is_decided_on() -> None:
    # A request to cancel is for the order service alone.
    from_order = {*orders.EVENTS} - {orders.OrderCancelRequested}
    can_arrive = from_order | {inventory.InventoryReserved, inventory.InventoryOutOfStock}
    assert set(WORDING) == can_arrive
    assert set(HANDLERS) == can_arrive


def test_an_order_that_completes_is_told_in_four_messages() -> None:
    conversation = Conversation(ORDER)
    told = [message.topic for event in history(COMPLETING) for _, message in tell(conversation, event)]
    assert told == ["order.confirmed", "order.paid", "order.shipped", "order.completed"]


def test_an_order_out_of_stock_is_told_in_two_messages() -> None:
    conversation = Conversation(ORDER)
    told = [message.topic for event in history(CANCELLED) for _, message in tell(conversation, event)]
    assert told == ["inventory.out_of_stock", "order.cancelled"]


def test_news_waits_for_the_contact_and_is_then_told_oldest_first() -> None:
    created, *rest = history(COMPLETING)
    random.shuffle(rest)
    conversation = Conversation(ORDER)
    assert [tell(conversation, event) for event in rest] == [[]] * len(rest)
    tellings = tell(conversation, created)
    assert [message.topic for _, message in tellings] == [
        "order.confirmed",
        "order.paid",
        "order.shipped",
        "order.completed",
    ]
    assert all(message.contact.email == "gayal@example.test" for _, message in tellings)
    assert all(event.type == message.topic for event, message in tellings)
    assert not conversation.waiting


@pytest.mark.parametrize("facts", [COMPLETING, CANCELLED])
@given(data=st.data())
def test_any_order_and_any_repetition_tells_the_same(facts: tuple[EventData, ...], data: st.DataObject) -> None:
    events = history(facts)
    in_order = Conversation(ORDER)
    expected = Counter(message for event in events for _, message in tell(in_order, event))
    arriving = data.draw(st.permutations(events + data.draw(st.lists(st.sampled_from(events), max_size=8))))
    conversation = Conversation(ORDER)
    told = Counter(message for event in arriving for _, message in tell(conversation, event))
    assert told == expected
    assert (conversation.told, conversation.contact) == (in_order.told, in_order.contact)
    assert not conversation.waiting


@pytest.mark.parametrize("reason", CancelReason)
def test_every_reason_to_cancel_has_words(reason: CancelReason) -> None:
    [event] = history((OrderCancelled(customer="gayal", reason=reason),))
    said = words(event)
    assert said is not None
    assert REASONS[reason] in said.text
    assert reason.value not in said.text.split()


def test_missing_articles_are_named_but_not_without_end() -> None:
    missing = [Line(f"item{number}", 2) for number in range(23)]
    [event] = history((InventoryOutOfStock(customer="gayal", missing=missing),))
    said = words(event)
    assert said is not None
    assert "item0 (2 missing)" in said.text
    assert said.text.endswith("- and 3 more")
    assert "item22" not in said.text


def test_a_shipped_order_names_its_tracking_number() -> None:
    [event] = history((OrderShipped(customer="gayal", tracking="WRN-77"),))
    said = words(event)
    assert said is not None
    assert "WRN-77" in said.text
    assert "123" in said.title


def test_an_order_without_a_number_of_its_own_is_called_by_its_id() -> None:
    said = words(event_of(OrderCompleted(customer="gayal"), subject=ORDER))
    assert said is not None
    assert str(ORDER) in said.title


@pytest.mark.parametrize(("cents", "text"), [(0, "0.00 EUR"), (5, "0.05 EUR"), (123456, "1234.56 EUR")])
def test_money(cents: int, text: str) -> None:
    assert money(cents, "EUR") == text


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
def test_a_customer_without_a_contact_gets_one_of_the_domain(
    customer: str, given_: Contact, domain: str | None, expected: Contact
) -> None:
    created = OrderCreated(customer=customer, lines=[], total_cents=0, currency="EUR", payment_token="", contact=given_)
    assert contact_of(created, domain) == expected
