"""Placing orders: one request makes one order, however often and to whichever replica it is sent."""

import asyncio
import secrets
import time
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from services.order.placement_batcher import PlacementBatcher
from services.order.placement_store import PaymentTerms, PlacementTransaction
from services.shared.contracts.orders import Line, OrderCreated
from tests.integration.order.conftest import OpenApi, OrderApi
from tests.service_replica import ServiceDatabase

BODY = '{"orderId": "123", "user": "gayal", "items": ["item1", "item2"]}'


def word() -> str:
    return secrets.token_hex(6)


async def orders_of(db: ServiceDatabase, customer: str) -> int:
    return int((await db.sql('SELECT count(*) FROM "order".orders WHERE customer = $1', customer))[0][0])


async def test_the_documented_request_works_as_written(api: OrderApi) -> None:
    response = await api.http.post("/orders", content=BODY, headers={"Content-Type": "application/json"})
    assert response.status_code == 202, response.text
    body = response.json()
    assert response.headers["location"] == f"/orders/{body['id']}"
    assert (body["orderId"], body["customer"], body["state"], body["version"]) == ("123", "gayal", "PENDING", 1)
    assert (body["totalCents"], body["currency"], body["reason"]) == (2500, "EUR", None)
    assert (await api.http.get(response.headers["location"])).json() == body
    (event,) = await api.events(UUID(body["id"]))
    assert (event.reference, event.sourcesequence) == ("123", 1)
    assert event.data == OrderCreated(
        customer="gayal",
        lines=[Line("item1", 1), Line("item2", 1)],
        total_cents=2500,
        currency="EUR",
        payment_token="tok_ok",
    )
    again = await api.http.post("/orders", content=BODY, headers={"Content-Type": "application/json"})
    assert (again.status_code, again.json(), again.headers["location"]) == (202, body, response.headers["location"])


async def test_a_reference_belongs_to_its_first_body(api: OrderApi) -> None:
    user = word()
    first = await api.post_order(user=user, orderId="7", items=["mug", {"sku": "mug", "quantity": 2}])
    same = await api.post_order(user=user, orderId="7", items=[{"sku": "mug", "quantity": 3}])
    other = await api.post_order(user=user, orderId="7", items=["mug"])
    other_customer = await api.post_order(user=word(), orderId="7", items=["mug"])
    assert (first.status_code, same.json()) == (202, first.json())
    assert (other.status_code, other.headers["content-type"]) == (409, "application/problem+json")
    assert other_customer.status_code == 202


async def test_a_key_returns_the_first_response_after_the_order_has_changed(db: ServiceDatabase, api: OrderApi) -> None:
    user, headers = word(), {"Idempotency-Key": word()}
    first = await api.post_order(headers, user=user)
    await db.sql("UPDATE \"order\".orders SET state = 'PAID', version = 9 WHERE customer = $1", user)
    again = await api.post_order(headers, user=user)
    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["location"] == first.headers["location"]
    assert (await api.post_order(headers, user=user, items=["teapot"])).status_code == 422
    assert (await api.post_order(headers, user=word())).json()["id"] != first.json()["id"]
    assert await orders_of(db, user) == 1


async def test_a_new_key_adopts_the_order_of_its_reference(api: OrderApi) -> None:
    user, key = word(), {"Idempotency-Key": word()}
    bare = await api.post_order(user=user, orderId="1")
    adopted = await api.post_order(key, user=user, orderId="1")
    assert adopted.json() == bare.json()
    assert (await api.post_order(key, user=user, orderId="2")).status_code == 422
    refused = {"Idempotency-Key": word()}
    assert (await api.post_order(refused, user=user, orderId="1", items=["teapot"])).status_code == 409
    # A refused request stores nothing: its key is unused.
    assert (await api.post_order(refused, user=user, orderId="3", items=["teapot"])).status_code == 202


@pytest.mark.parametrize("named_by", ["key", "reference", "both", "reference and many keys"])
async def test_fifty_equal_requests_at_once_over_two_replicas_make_one_order(
    db: ServiceDatabase, open_api: OpenApi, named_by: str
) -> None:
    apis = [await open_api(), await open_api()]
    user, name = word(), word()

    def headers(number: int) -> dict[str, str]:
        if named_by == "reference":
            return {}
        return {"Idempotency-Key": f"{name}-{number}" if named_by == "reference and many keys" else name}

    body = {"user": user} if named_by == "key" else {"user": user, "orderId": name}
    responses = await asyncio.gather(*(apis[number % 2].post_order(headers(number), **body) for number in range(50)))
    assert {response.status_code for response in responses} == {202}
    assert len({response.text for response in responses}) == 1
    assert len({response.headers["location"] for response in responses}) == 1
    assert await orders_of(db, user) == 1
    assert len(await apis[0].events(UUID(responses[0].json()["id"]))) == 1


async def test_one_of_many_concurrent_conflicting_requests_succeeds(db: ServiceDatabase, open_api: OpenApi) -> None:
    apis = [await open_api(), await open_api()]
    user, headers = word(), {"Idempotency-Key": word()}
    by_key = await asyncio.gather(
        *(apis[n % 2].post_order(headers, user=user, items=[{"sku": "mug", "quantity": n + 1}]) for n in range(20))
    )
    assert sorted(response.status_code for response in by_key) == [202] + [422] * 19
    by_reference = await asyncio.gather(
        *(
            apis[n % 2].post_order(
                {"Idempotency-Key": word()}, user=user, orderId="x", items=[{"sku": "mug", "quantity": n + 1}]
            )
            for n in range(20)
        )
    )
    assert sorted(response.status_code for response in by_reference) == [202] + [409] * 19
    assert await orders_of(db, user) == 2
    kept = await db.sql(
        'SELECT count(*), count(o.id) FROM "order".idempotency_keys k'
        ' LEFT JOIN "order".orders o ON o.id = k.order_id WHERE k.customer = $1',
        user,
    )
    assert tuple(kept[0]) == (2, 2), "a key has no order"


async def test_concurrent_requests_share_transactions(
    db: ServiceDatabase, api: OrderApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    decide = PlacementTransaction.decide

    async def counted(self: PlacementTransaction, placements: Any, terms: PaymentTerms) -> Any:
        sizes.append(len(placements))
        return await decide(self, placements, terms)

    monkeypatch.setattr(PlacementTransaction, "decide", counted)
    user = word()
    responses = await asyncio.gather(*(api.post_order(user=user) for _ in range(250)))
    assert {response.status_code for response in responses} == {202}
    assert sum(sizes) == 250
    assert max(sizes) <= 100
    assert len(sizes) < 10
    assert await orders_of(db, user) == 250


async def test_a_disconnected_caller_does_not_affect_others(api: OrderApi) -> None:
    user = word()
    calls = [asyncio.create_task(api.post_order(user=user, orderId=str(number))) for number in range(60)]
    await asyncio.sleep(0.005)
    for call in calls[::2]:
        call.cancel()
    responses = await asyncio.gather(*calls, return_exceptions=True)
    assert {response.status_code for response in responses[1::2]} == {202}  # type: ignore[union-attr]
    assert (await api.post_order(user=user)).status_code == 202


async def test_only_the_placement_with_a_refused_value_fails(api: OrderApi, monkeypatch: pytest.MonkeyPatch) -> None:
    decide = PlacementBatcher._decide

    async def picky(self: PlacementBatcher, placements: Any) -> Any:
        if any(placement.customer == "bad" for placement in placements):
            raise asyncpg.DataError("not this one")
        return await decide(self, placements)

    monkeypatch.setattr(PlacementBatcher, "_decide", picky)
    responses = await asyncio.gather(*(api.post_order(user="bad" if n == 5 else "good") for n in range(12)))
    assert [response.status_code for response in responses] == [202] * 5 + [500] + [202] * 6


async def test_an_express_order_has_its_priority_and_contact(api: OrderApi) -> None:
    contact = {"email": "gayal@shop.test", "phone": "+94 11 234 5678"}
    response = await api.post_order(user=word(), express=True, contact=contact, paymentToken="tok_visa")
    assert response.json()["express"] is True
    (event,) = await api.events(UUID(response.json()["id"]))
    assert event.priority == 8
    assert (event.data.contact.email, event.data.payment_token) == (contact["email"], "tok_visa")


async def test_a_full_outbox_refuses_orders_until_it_drains(db: ServiceDatabase, open_api: OpenApi) -> None:
    api = await open_api(outbox_limit=0)
    await db.sql(
        "INSERT INTO \"order\".outbox (exchange, body, owner, leased_until) VALUES ('x', '', $1, now())", UUID(int=0)
    )
    try:
        refused = await api.post_order()
        assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
    finally:
        await db.sql('DELETE FROM "order".outbox')
    await asyncio.sleep(1.1)
    assert (await api.post_order()).status_code == 202


async def test_without_a_database_every_caller_gets_retry_after(api: OrderApi) -> None:
    await api.parts.database.close()
    started = time.monotonic()
    responses = await asyncio.gather(*(api.post_order() for _ in range(20)))
    assert {response.status_code for response in responses} == {503}
    assert all("retry-after" in response.headers for response in responses)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        ({"items": ["mug"], "colour": "red"}, 400, "colour"),
        ({"items": [{"sku": "mug", "size": 3}]}, 400, "size"),
        ({"items": []}, 400, "items"),
        ({"items": ["mug"] * 101}, 400, "items"),
        ({"items": [{"sku": "mug", "quantity": 0}]}, 400, "quantity"),
        ({"items": [{"sku": "mug", "quantity": 1001}]}, 400, "quantity"),
        ({"items": ["mug", {"sku": "mug", "quantity": 1000}]}, 422, "mug"),
        ({"items": ["unicorn"]}, 422, "unicorn"),
        ({"items": ["mug"], "user": "a\x00b"}, 400, "user"),
        ({"items": ["mug"], "user": "a\n"}, 400, "user"),
        ({"items": ["mug"], "user": "x" * 101}, 400, "user"),
        ({"items": ["mug"], "paymentToken": "4111 1111"}, 400, "paymentToken"),
        ({"items": ["mug"], "contact": {"email": "a@b\r\nBcc: c@d"}}, 400, "contact.email"),
        ({"items": ["mug"], "totalCents": 1}, 400, "totalCents"),
        ({"items": ["mug"], "user": None}, 422, "user"),
        ({}, 400, "items"),
    ],
)
async def test_an_invalid_field_is_refused_and_named(
    api: OrderApi, body: dict[str, Any], status: int, named: str
) -> None:
    response = await api.http.post("/orders", json={"user": "gayal"} | body)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert named in response.text


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '"x"', '{"user": "a\\ud800", "items": ["mug"]}'])
async def test_an_unreadable_body_is_refused(api: OrderApi, body: str) -> None:
    response = await api.http.post("/orders", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 400, response.text


@pytest.mark.parametrize("key", ["", "x" * 256, "caf\xe9"])
async def test_an_invalid_idempotency_key_is_refused(api: OrderApi, key: str) -> None:
    response = await api.post_order({"Idempotency-Key": key.encode("latin-1")})
    assert response.status_code == 400, response.text
    assert "Idempotency-Key" in response.text or "idempotency_key" in response.text
