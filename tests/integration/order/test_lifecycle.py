"""Orders from their placement to their end, with a real database: events, deadlines and customers' requests."""

import asyncio
import random
import secrets
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.order.handlers import HANDLERS
from services.order.store import expire_overdue, retention_rules
from services.shared.contracts import EventData
from services.shared.contracts.inventory import InventoryCommitted, InventoryOutOfStock, InventoryReleased
from services.shared.contracts.orders import CancelReason, OrderCancelling, OrderCancelRequested
from services.shared.contracts.payments import PaymentFailed, PaymentRefunded, PaymentVoided
from services.shared.contracts.shipping import ShippingDelivered, ShippingPrepared, ShippingRefused, ShippingStopped
from tests.events import RESERVED, SUCCESS
from tests.integration.order.conftest import OpenApi, OrderApi
from tests.service_replica import Replica, ServiceDatabase
from warren_messaging.consumer.delivery import Verdict
from warren_messaging.postgres.retention import Retention
from warren_messaging.testing import event_of, with_new_ids

Workers = tuple[Replica, Replica]

PREPARED, DELIVERED = ShippingPrepared(tracking="T1"), ShippingDelivered(tracking="T1")
HAPPY_PATH: list[EventData] = [RESERVED, SUCCESS, InventoryCommitted(lines=[]), PREPARED, DELIVERED]
ANNOUNCED = ["order.created", "order.confirmed", "order.paid", "order.shipped", "order.completed"]


async def process(worker: Replica, order_id: UUID, *data: EventData) -> None:
    for each in data:
        assert await worker.process(event_of(each, subject=order_id)) == [Verdict.ACK]


async def test_shuffled_and_repeated_events_complete_each_order_once(
    db: ServiceDatabase, api: OrderApi, workers: Workers
) -> None:
    ids = await asyncio.gather(*(api.place_order() for _ in range(40)))
    events = [event_of(data, subject=order_id) for order_id in ids for data in HAPPY_PATH]
    deliveries = events + random.sample(events, 60) + [with_new_ids(event) for event in random.sample(events, 60)]
    random.shuffle(deliveries)
    half = len(deliveries) // 2
    await asyncio.gather(
        *(workers[0].process(*deliveries[start : start + 50]) for start in range(0, half, 50)),
        *(workers[1].process(*deliveries[start : start + 50]) for start in range(half, len(deliveries), 50)),
    )
    for order_id in ids:
        body = await api.read(order_id)
        assert (body["state"], body["tracking"]) == ("COMPLETED", "T1")
        mine = await api.events(order_id)
        assert [event.type for event in mine] == ANNOUNCED
        assert [event.sourcesequence for event in mine] == [1, 2, 3, 4, 5]
    assert not workers[0].telemetry.failures
    assert not workers[1].telemetry.failures
    assert await db.sql("SELECT FROM \"order\".orders WHERE deadline IS NOT NULL AND state = 'COMPLETED'") == []


COMPENSATIONS: list[EventData] = [ShippingStopped(), InventoryReleased(lines=[]), PaymentVoided()]
"""Events by which shipping, inventory and payment confirm a cancellation."""


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (InventoryOutOfStock(customer="ada", missing=[]), "out_of_stock"),
        (PaymentFailed(code="card_declined"), "payment_failed"),
        (OrderCancelRequested(reason=CancelReason.FRAUD), "fraud"),
    ],
)
async def test_a_cancellation_runs_in_two_phases(
    api: OrderApi, workers: Workers, cause: EventData, reason: str
) -> None:
    order_id = await api.place_order()
    await process(workers[0], order_id, cause)
    body = await api.read(order_id)
    assert (body["state"], body["reason"]) == ("CANCELLING", reason)
    await process(workers[1], order_id, *COMPENSATIONS)
    body = await api.read(order_id)
    assert (body["state"], body["reason"]) == ("CANCELLED", reason)
    assert await api.event_types(order_id) == [ANNOUNCED[0], *["order.cancelling"] * 2, "order.cancelled"]
    await process(workers[0], order_id, *HAPPY_PATH)
    assert (await api.read(order_id))["state"] == "CANCELLED"


async def test_a_cancellation_that_shipping_refuses_is_withdrawn(api: OrderApi, workers: Workers) -> None:
    order_id = await api.place_order()
    await process(workers[0], order_id, RESERVED, SUCCESS)
    assert (await api.http.post(f"/orders/{order_id}/cancel")).status_code == 202
    await process(workers[0], order_id, ShippingRefused(tracking="T1"))
    body = await api.read(order_id)
    assert (body["state"], body["reason"], body["tracking"]) == ("SHIPPED", None, "T1")
    await process(workers[0], order_id, PREPARED, DELIVERED)
    assert await api.event_types(order_id) == [*ANNOUNCED[:3], "order.cancelling", *ANNOUNCED[3:]]


async def test_an_event_of_an_unknown_order_is_parked_without_its_batch(api: OrderApi, workers: Workers) -> None:
    order_id = await api.place_order()
    verdicts = await workers[0].process(event_of(RESERVED, subject=uuid4()), event_of(RESERVED, subject=order_id))
    assert verdicts == [Verdict.DEAD_LETTER, Verdict.ACK]
    assert (await api.read(order_id))["state"] == "CONFIRMED"


async def test_unpaid_orders_are_cancelled_once_at_their_deadline(open_api: OpenApi, workers: Workers) -> None:
    expiring_api, other_api = await open_api(payment_deadline_seconds=0.0), await open_api()
    overdue = [await expiring_api.place_order() for _ in range(30)]
    paid, not_due = await expiring_api.place_order(), await other_api.place_order()
    await process(workers[0], paid, SUCCESS)
    while sum(await asyncio.gather(*(worker.run_job(lambda orders: expire_overdue(orders, 4)) for worker in workers))):
        pass
    for order_id in overdue:
        assert (await expiring_api.read(order_id))["reason"] == "payment_timeout"
        assert await expiring_api.event_types(order_id) == ["order.created", "order.cancelling"]
    assert (await expiring_api.read(paid))["state"] == "PENDING"
    assert (await expiring_api.read(not_due))["state"] == "PENDING"
    _, cancelling = await expiring_api.events(overdue[0])
    assert isinstance(cancelling.data, OrderCancelling)
    assert cancelling.data.reason is CancelReason.PAYMENT_TIMEOUT
    # A late payment is refunded, and the order stays cancelled.
    refunded = PaymentRefunded(charge_id="ch_1", amount_cents=950, currency="EUR")
    await process(workers[0], overdue[0], SUCCESS, ShippingStopped(), refunded, InventoryReleased(lines=[]))
    assert (await expiring_api.read(overdue[0]))["state"] == "CANCELLED"


async def test_a_cancellation_over_http_is_idempotent_and_refused_after_shipping(
    api: OrderApi, workers: Workers
) -> None:
    order_id = await api.place_order()
    first, second = [await api.http.post(f"/orders/{order_id}/cancel") for _ in range(2)]
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    assert (first.json()["state"], first.json()["reason"]) == ("CANCELLING", "customer")
    assert await api.event_types(order_id) == ["order.created", "order.cancelling"]
    await process(workers[0], order_id, *COMPENSATIONS)
    assert (await api.http.post(f"/orders/{order_id}/cancel")).status_code == 409
    shipped = await api.place_order()
    await process(workers[0], shipped, RESERVED, SUCCESS, PREPARED)
    refused = await api.http.post(f"/orders/{shipped}/cancel")
    assert (refused.status_code, refused.json()["state"]) == (409, "SHIPPED")
    assert (await api.http.post(f"/orders/{uuid4()}/cancel")).status_code == 404


async def test_a_delivery_confirmed_over_http_is_announced_once(api: OrderApi, workers: Workers) -> None:
    order_id = await api.place_order()
    url = f"/orders/{order_id}/delivery-confirmation"
    assert (await api.http.post(url)).status_code == 409
    await process(workers[0], order_id, RESERVED, SUCCESS, PREPARED)
    responses = await asyncio.gather(*(api.http.post(url) for _ in range(10)))
    assert {response.status_code for response in responses} == {202}
    assert len({response.text for response in responses}) == 1
    await process(workers[0], order_id, DELIVERED)
    assert (await api.http.post(url)).status_code == 202
    assert await api.event_types(order_id) == [*ANNOUNCED[:4], "order.delivery_confirmed", "order.completed"]


async def test_events_of_express_orders_keep_their_priority(api: OrderApi, workers: Workers) -> None:
    order_id = await api.place_order(express=True)
    await workers[0].process(event_of(RESERVED, subject=order_id, priority=8))
    _, event = await api.events(order_id)
    assert (event.type, event.priority) == ("order.confirmed", 8)


async def test_the_list_has_all_orders_newest_first(api: OrderApi, workers: Workers) -> None:
    user = secrets.token_hex(6)
    ids = [await api.place_order(user=user, orderId=str(number)) for number in range(7)]
    await process(workers[0], ids[3], RESERVED)
    seen: list[str] = []
    cursor: str | None = None
    while True:
        parameters = {"customer": user, "limit": 3} | ({"cursor": cursor} if cursor else {})
        page = (await api.http.get("/orders", params=parameters)).json()
        seen += [order["id"] for order in page["orders"]]
        if (cursor := page["next"]) is None:
            break
    assert seen == [str(order_id) for order_id in reversed(ids)]

    async def found(**parameters: Any) -> list[str]:
        response = await api.http.get("/orders", params={"customer": user} | parameters)
        assert response.status_code == 200, response.text
        return [order["orderId"] for order in response.json()["orders"]]

    assert await found(state="CONFIRMED") == ["3"]
    assert await found(orderId="5") == ["5"]
    assert await found(orderId="nothing") == []
    for wrong in ({"cursor": "!!"}, {"cursor": "AAAA"}, {"limit": 0}, {"limit": 101}, {"state": "LOST"}):
        assert (await api.http.get("/orders", params=wrong)).status_code == 400, wrong


async def test_old_idempotency_keys_are_removed_and_their_orders_stay(
    db: ServiceDatabase, api: OrderApi, workers: Workers
) -> None:
    user, headers = secrets.token_hex(6), {"Idempotency-Key": secrets.token_hex(6)}
    first = await api.post_order(headers, user=user)
    await db.sql(
        "UPDATE \"order\".idempotency_keys SET created_at = now() - interval '31 days' WHERE customer = $1", user
    )
    [rule] = retention_rules(idempotency_days=30, history_days=0)
    await db.sql(
        'INSERT INTO "order".retention (name, due_at) VALUES ($1, now())'
        " ON CONFLICT (name) DO UPDATE SET due_at = now()",
        rule.name,
    )
    assert await Retention(workers[0].database, workers[0].telemetry, [rule]).sweep(rule) >= 1
    assert (await api.post_order(headers, user=user)).json()["id"] != first.json()["id"]
    assert (await api.http.get(first.headers["location"])).status_code == 200


def test_every_event_of_the_queue_has_a_handler() -> None:
    wanted = {type(data) for data in (*HAPPY_PATH, *COMPENSATIONS)}
    wanted |= {InventoryOutOfStock, PaymentFailed, PaymentRefunded, ShippingRefused, OrderCancelRequested}
    assert set(HANDLERS) == wanted


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def traceparent(trace: str = TRACE) -> dict[str, str]:
    return {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}


async def traces(api: OrderApi, order_id: UUID) -> list[tuple[str, str | None]]:
    """The type and the trace id of each event of the order."""
    return [(each.type, each.traceparent and each.traceparent.split("-")[1]) for each in await api.events(order_id)]


async def test_every_event_of_a_request_has_its_trace(api: OrderApi, workers: Workers) -> None:
    plain, broken = await asyncio.gather(api.post_order(), api.post_order({"traceparent": "invalid"}))
    assert await traces(api, UUID(plain.json()["id"])) == [("order.created", None)]
    ((_, new),) = await traces(api, UUID(broken.json()["id"]))
    assert new is not None and len(new) == 32

    order_id = UUID((await api.post_order(traceparent())).json()["id"])
    await process(workers[0], order_id, *HAPPY_PATH[:-1])
    await api.http.post(f"/orders/{order_id}/delivery-confirmation", headers=traceparent("b" * 32))
    cancelled = UUID((await api.post_order(traceparent())).json()["id"])
    await api.http.post(f"/orders/{cancelled}/cancel", headers=traceparent("c" * 32))
    confirmed = await traces(api, order_id)
    assert ("order.created", TRACE) in confirmed and ("order.delivery_confirmed", "b" * 32) in confirmed
    assert await traces(api, cancelled) == [("order.created", TRACE), ("order.cancelling", "c" * 32)]


async def test_a_deadline_continues_the_trace_of_its_order(open_api: OpenApi, workers: Workers) -> None:
    api = await open_api(payment_deadline_seconds=0.0)
    order_id = UUID((await api.post_order(traceparent())).json()["id"])
    while await workers[0].run_job(expire_overdue):
        pass
    assert await traces(api, order_id) == [("order.created", TRACE), ("order.cancelling", TRACE)]


async def test_articles_are_listed_with_their_prices(api: OrderApi) -> None:
    page = (await api.http.get("/articles", params={"limit": 2})).json()
    assert (page["currency"], len(page["articles"])) == ("EUR", 2)
    rest = (await api.http.get("/articles", params={"after": page["next"]})).json()
    assert rest["next"] is None
    prices = {each["sku"]: each["unitCents"] for each in page["articles"] + rest["articles"]}
    assert prices["mug"] == 950
    unknown = await api.post_order(items=["unicorn"])
    assert "GET /articles" in unknown.json()["detail"]
