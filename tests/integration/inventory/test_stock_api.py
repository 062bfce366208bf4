"""The HTTP API for the warehouse."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from services.inventory import api
from services.inventory.restock_store import RestockStore, add_opening_stock
from services.inventory.settings import InventorySettings, load_opening_stock
from services.shared.chassis.http.application import application
from services.shared.chassis.http.auth import STAFF, AuthGuard
from tests.integration.inventory.conftest import InventoryEnv
from tests.services import bearer, settings_of
from warren_messaging.errors import ConfigurationError

KEY = secrets.token_hex(32)


def client(restocks: RestockStore, **settings: Any) -> httpx.AsyncClient:
    guard = AuthGuard(settings_of(InventorySettings, **({"auth": "local"} | settings)), role=STAFF)
    app: Any = application([api.routes(restocks, guard)], title="test")
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://warehouse")


@pytest.fixture
async def warehouse(env: InventoryEnv) -> AsyncIterator[httpx.AsyncClient]:
    async with client(env.restocks) as http:
        yield http


def word() -> str:
    return f"a-{secrets.token_hex(4)}"


async def test_received_pieces_are_in_stock(warehouse: httpx.AsyncClient) -> None:
    sku = word()
    assert (await warehouse.get(f"/stock/{sku}")).status_code == 404
    first = await warehouse.post(f"/stock/{sku}/restock", json={"quantity": 3})
    assert first.json() == {"sku": sku, "onHand": 3, "reserved": 0, "sold": 0, "received": 3}
    await warehouse.post(f"/stock/{sku}/restock", json={"quantity": 4})
    assert (await warehouse.get(f"/stock/{sku}")).json()["onHand"] == 7


async def test_a_delivery_with_a_key_counts_once(warehouse: httpx.AsyncClient) -> None:
    sku, headers = word(), {"Idempotency-Key": word()}
    responses = await asyncio.gather(
        *(warehouse.post(f"/stock/{sku}/restock", json={"quantity": 5}, headers=headers) for _ in range(20))
    )
    assert {response.status_code for response in responses} == {200}
    assert len({response.text for response in responses}) == 1
    assert (await warehouse.get(f"/stock/{sku}")).json()["received"] == 5
    for url, quantity in ((f"/stock/{sku}/restock", 6), (f"/stock/{word()}/restock", 5)):
        assert (await warehouse.post(url, json={"quantity": quantity}, headers=headers)).status_code == 422


async def test_the_list_has_all_articles(warehouse: httpx.AsyncClient) -> None:
    mine = sorted(f"z-{word()}" for _ in range(5))
    for sku in mine:
        await warehouse.post(f"/stock/{sku}/restock", json={"quantity": 1})
    seen: list[str] = []
    after: str | None = "z-"
    while after is not None:
        page = (await warehouse.get("/stock", params={"limit": 2, "after": after})).json()
        seen += [each["sku"] for each in page["articles"]]
        after = page["next"]
    assert seen == mine


@pytest.mark.parametrize(
    ("url", "body", "status"),
    [
        ("/stock/mug/restock", {"quantity": 0}, 400),
        ("/stock/mug/restock", {"quantity": 1_000_001}, 400),
        ("/stock/mug/restock", {"quantity": 1.5}, 400),
        ("/stock/mug/restock", {"quantity": 1, "price": 3}, 400),
        ("/stock/mug/restock", {}, 400),
        ("/stock/a%20b/restock", {"quantity": 1}, 400),
        ("/stock/a%00/restock", {"quantity": 1}, 400),
        (f"/stock/{'x' * 65}/restock", {"quantity": 1}, 400),
    ],
)
async def test_invalid_restock_requests_are_refused(
    warehouse: httpx.AsyncClient, url: str, body: dict[str, Any], status: int
) -> None:
    response = await warehouse.post(url, json=body)
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json"), (
        response.text
    )


async def test_only_staff_tokens_may_read_and_restock(env: InventoryEnv, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY)

    guarded = {"auth": "token", "token_key_file": tmp_path / "key", "http_host": "0.0.0.0"}  # noqa: S104
    async with client(env.restocks, **guarded) as http:
        assert (await http.get("/stock")).status_code == 401
        assert (await http.get("/stock", headers=bearer(KEY))).status_code == 403
        assert (await http.get("/stock", headers=bearer(KEY, role="staff"))).status_code == 200
        body = {"quantity": 1}
        assert (await http.post("/stock/mug/restock", json=body, headers=bearer(KEY, role="x"))).status_code == 403
    with pytest.raises(ConfigurationError, match="loopback"):
        client(env.restocks, http_host="0.0.0.0")  # noqa: S104


async def test_opening_stock_is_only_for_new_articles(
    env: InventoryEnv, warehouse: httpx.AsyncClient, tmp_path: Path
) -> None:
    known, new = word(), word()
    await warehouse.post(f"/stock/{known}/restock", json={"quantity": 2})
    path = tmp_path / "opening.json"
    path.write_bytes(msgspec.json.encode({known: 9, new: 0}))
    stock = load_opening_stock(path)
    for replica in (*env.replicas, *env.replicas):
        assert await replica.run_job(lambda uow: add_opening_stock(uow, stock=stock)) == 0
    assert (await warehouse.get(f"/stock/{known}")).json()["received"] == 2
    assert (await warehouse.get(f"/stock/{new}")).json()["onHand"] == 0
    path.write_text('{"a": -1}')
    with pytest.raises(ConfigurationError, match=">= 0"):
        load_opening_stock(path)
