"""The HTTP API of the log."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from services.audit.api import routes
from services.audit.queries import AuditQueries
from services.shared.chassis.http.application import application
from services.shared.chassis.http.auth import STAFF, AuthGuard, AuthSettings
from services.shared.contracts import AnyEvent
from services.shared.contracts.orders import OrderConfirmed, OrderCreated, OrderPaid
from tests.service_replica import Replica, ServiceDatabase
from tests.services import bearer, settings_of
from warren_messaging import codec
from warren_messaging.testing import event_of, with_new_ids

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
KEY = "k" * 32


def event(order_id: UUID, sequence: int, **fields: Any) -> AnyEvent:
    return event_of(OrderConfirmed(customer="ada"), subject=order_id, sourcesequence=sequence, **fields)


def client_of(audit: Replica, guard: AuthGuard) -> httpx.AsyncClient:
    app = application(routes(AuditQueries(audit.database), guard), title="audit", index="/audit")
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://audit")


@pytest.fixture
async def client(audit: Replica) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(audit, AuthGuard(settings_of(AuthSettings, auth="local"), role=STAFF)) as client:
        yield client


async def test_the_history_of_an_order(client: httpx.AsyncClient, audit: Replica) -> None:
    order_id = uuid4()
    second = event(order_id, 2, time=NOON + timedelta(seconds=2))
    first = event(order_id, 1, time=NOON)
    later = event(order_id, 5, time=NOON + timedelta(seconds=5))
    payment = event(order_id, 1, source="/warren/payment", time=NOON + timedelta(seconds=1))
    await audit.process(later, second, payment, first, event(uuid4(), 1))
    contradiction = with_new_ids(first)
    await audit.process(contradiction)
    body = (await client.get(f"/audit/orders/{order_id}")).json()
    assert body["subject"] == str(order_id)
    assert [each["event"]["id"] for each in body["events"]] == [
        str(each.id) for each in (first, payment, second, later)
    ]
    assert all(each["recordedAt"] for each in body["events"])
    assert body["gaps"] == [{"source": "/warren/order", "subject": str(order_id), "first": 3, "last": 4}]
    assert [each["event"]["id"] for each in body["contradictions"]] == [str(contradiction.id)]


async def test_an_unknown_order_is_a_problem(client: httpx.AsyncClient) -> None:
    response = await client.get(f"/audit/orders/{uuid4()}")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["title"] == "Unknown order"


@pytest.mark.parametrize("order", [None, "newest", "oldest"])
async def test_pages_show_every_event_once_in_the_order_of_time(
    client: httpx.AsyncClient, audit: Replica, order: str | None
) -> None:
    source = f"/warren/{uuid4().hex}"
    # Several have the same time, so their ids decide.
    events = [event(uuid4(), 1, source=source, time=NOON + timedelta(seconds=number // 4)) for number in range(23)]
    await audit.process(*events)
    found: list[str] = []
    query: dict[str, Any] = {"source": source, "limit": 5} | ({} if order is None else {"order": order})
    pages = 0
    while True:
        page = (await client.get("/audit/events", params=query)).json()
        found += [each["event"]["id"] for each in page["events"]]
        pages += 1
        if page["cursor"] is None:
            break
        query["cursor"] = page["cursor"]
    in_order = sorted(events, key=lambda each: (each.time, each.id), reverse=order != "oldest")
    assert found == [str(each.id) for each in in_order]
    assert pages == 5


async def test_an_order_is_found_by_its_reference(client: httpx.AsyncClient, audit: Replica) -> None:
    created = OrderCreated(customer="ada", lines=[], total_cents=1, currency="EUR", payment_token="tok_ok")
    one, two, three = uuid4(), uuid4(), uuid4()
    own, shared = uuid4().hex[:12], uuid4().hex[:12]
    await audit.process(event_of(created, subject=one, reference=own), event(one, 2, reference=own))
    await audit.process(*(event_of(created, subject=order_id, reference=shared) for order_id in (two, three)))
    history = (await client.get(f"/audit/orders/{own}")).json()
    assert (history["subject"], len(history["events"])) == (str(one), 2)
    several = await client.get(f"/audit/orders/{shared}")
    assert (several.status_code, set(several.json()["orders"])) == (409, {str(two), str(three)})
    unknown = await client.get("/audit/orders/nosuch")
    assert (unknown.status_code, unknown.json()["title"]) == (404, "Unknown order")


async def test_the_routes_are_listed_at_audit(client: httpx.AsyncClient) -> None:
    routes = (await client.get("/audit")).json()["routes"]
    assert {"/audit/events", "/audit/gaps", "/audit/orders/{order}"} == {each["path"] for each in routes}


async def test_filters_combine(client: httpx.AsyncClient, audit: Replica) -> None:
    source = f"/warren/{uuid4().hex}"
    events = [event(uuid4(), 1, source=source, time=NOON + timedelta(seconds=number)) for number in range(4)]
    paid = event_of(OrderPaid(customer="ada", total_cents=1, currency="EUR"), source=source, time=NOON)
    await audit.process(*events, paid)

    async def ids(**query: str) -> list[str]:
        response = await client.get("/audit/events", params={"source": source, "order": "oldest"} | query)
        return [each["event"]["id"] for each in response.json()["events"]]

    assert await ids(type="order.paid") == [str(paid.id)]
    between = {"since": "2026-01-02T12:00:01Z", "until": "2026-01-02T12:00:03"}
    assert await ids(**between) == [str(each.id) for each in events[1:3]]
    assert await ids(**between, type="order.paid") == []


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "1001"},
        {"limit": "x"},
        {"since": "yesterday"},
        {"since": "0.5"},
        {"since": "1767355200"},
        {"since": "null"},
        {"until": "2026-13-01T00:00:00Z"},
        {"type": "a\0b"},
        {"order": "sideways"},
        {"limit": "1.0"},
        {"cursor": "nonsense"},
        {"cursor": "x" * 100},
        {"type": "x" * 300},
    ],
)
async def test_a_wrong_parameter_is_a_problem_that_names_it(client: httpx.AsyncClient, query: dict[str, str]) -> None:
    response = await client.get("/audit/events", params=query)
    assert response.status_code == 400
    assert next(iter(query)) in response.json()["detail"]


async def test_times_at_the_limits_are_answered(client: httpx.AsyncClient) -> None:
    async def status(**query: str) -> int:
        return (await client.get("/audit/events", params=query)).status_code

    assert await status(since="0001-01-01T00:00:00Z", until="9999-12-31T23:59:59Z", limit="1") == 200
    assert await status(since="0001-01-01T00:00:00+02:00") == 400
    assert await status(until="9999-12-31T23:59:59-02:00") == 400


async def test_the_response_is_json_even_if_a_stored_body_is_not_utf_8(
    client: httpx.AsyncClient, audit: Replica, db: ServiceDatabase
) -> None:
    kept = event(uuid4(), 1)
    await audit.process(kept, event(kept.subject, 2))
    await db.sql(
        "UPDATE audit.events SET body = replace(encode(body, 'escape'), 'ada', '\\377\\376')::bytea WHERE subject = $1",
        kept.subject,
    )
    response = await client.get(f"/audit/orders/{kept.subject}")
    customers = [each["event"]["data"]["customer"] for each in json.loads(response.content.decode())["events"]]
    assert customers == ["\ufffd\ufffd"] * 2


async def test_gaps_of_all_orders(client: httpx.AsyncClient, audit: Replica, db: ServiceDatabase) -> None:
    await db.sql("TRUNCATE audit.events")
    old, new, whole = uuid4(), uuid4(), uuid4()
    await audit.process(event(old, 3, time=NOON), event(whole, 1), event(whole, 2))
    await audit.process(event(new, 2), event(new, 4), event(new, 5, source="/warren/payment"))

    async def ask(**query: Any) -> tuple[set[tuple[str, str, int, int]], bool]:
        body = (await client.get("/audit/gaps", params=query)).json()
        gaps = {(each["subject"], each["source"], each["first"], each["last"]) for each in body["gaps"]}
        return gaps, body["more"]

    recent = {(str(new), "/warren/order", 1, 1), (str(new), "/warren/order", 3, 3), (str(new), "/warren/payment", 1, 4)}
    assert await ask() == (recent | {(str(old), "/warren/order", 1, 2)}, False)
    assert await ask(since=(NOON + timedelta(days=1)).isoformat()) == (recent, False)
    found, more = await ask(limit=2)
    assert (len(found), more) == (2, True)


async def test_only_staff_tokens_may_read(audit: Replica, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY)
    anywhere = {"http_host": "0.0.0.0", "token_key_file": tmp_path / "key"}  # noqa: S104
    guard = AuthGuard(settings_of(AuthSettings, **anywhere), role=STAFF)
    async with client_of(audit, guard) as client:
        for path in (f"/audit/orders/{uuid4()}", "/audit/events", "/audit/gaps"):
            assert (await client.get(path)).status_code == 401
            assert (await client.get(path, headers=bearer(KEY))).status_code == 403
            assert (await client.get(path, headers=bearer(KEY, role="staff"))).status_code in {200, 404}


async def test_without_a_database_the_status_is_503(audit: Replica) -> None:
    async with client_of(audit, AuthGuard(settings_of(AuthSettings, auth="local"), role=STAFF)) as client:
        await audit.database.close()
        response = await client.get("/audit/gaps")
        assert (response.status_code, response.headers["retry-after"]) == (503, "2")


async def test_the_api_document_has_all_routes(client: httpx.AsyncClient) -> None:
    document = (await client.get("/schema/openapi.json")).json()
    for path in ("/audit/orders/{order}", "/audit/events", "/audit/gaps"):
        assert {"200", "401", "403", "503"} <= document["paths"][path]["get"]["responses"].keys()


async def test_bodies_are_returned_byte_for_byte(client: httpx.AsyncClient, audit: Replica) -> None:
    sent = event(uuid4(), 1)
    await audit.process(sent)
    assert codec.encode(sent) in (await client.get(f"/audit/orders/{sent.subject}")).content
