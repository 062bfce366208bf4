"""Callers with tokens: which orders they may read and change."""

import secrets
import time
from pathlib import Path
from typing import Any

import jwt
import pytest

from tests.integration.order.conftest import OpenApi, OrderApi

KEY = secrets.token_hex(32)


@pytest.fixture
async def guarded(open_api: OpenApi, tmp_path: Path) -> OrderApi:
    (tmp_path / "key").write_text(KEY + "\n")
    return await open_api(auth="token", token_key_file=tmp_path / "key", http_host="0.0.0.0")  # noqa: S104


def bearer(subject: str | None, *, key: str = KEY, algorithm: str = "HS256", seconds: float = 60) -> dict[str, str]:
    claims: dict[str, Any] = {"exp": time.time() + seconds} | ({} if subject is None else {"sub": subject})
    return {"Authorization": f"Bearer {jwt.encode(claims, key if algorithm != 'none' else None, algorithm=algorithm)}"}


async def test_the_token_names_the_customer(guarded: OrderApi) -> None:
    me = secrets.token_hex(6)
    response = await guarded.http.post("/orders", json={"items": ["mug"]}, headers=bearer(me))
    assert (response.status_code, response.json()["customer"]) == (202, me)
    assert (await guarded.post_order(bearer(me), user=me)).status_code == 202
    assert (await guarded.post_order(bearer(me), user="another")).status_code == 403


async def test_another_customers_order_is_not_found(guarded: OrderApi) -> None:
    me, other = bearer(secrets.token_hex(6)), bearer("mallory")
    response = await guarded.http.post("/orders", json={"items": ["mug"], "orderId": "1"}, headers=me)
    url = response.headers["location"]
    assert (await guarded.http.get(url, headers=me)).status_code == 200
    missing = await guarded.http.get("/orders/00000000-0000-7000-8000-000000000000", headers=other)
    for response in (
        await guarded.http.get(url, headers=other),
        await guarded.http.post(f"{url}/cancel", headers=other),
        await guarded.http.post(f"{url}/delivery-confirmation", headers=other),
    ):
        assert response.status_code == 404
        assert response.json()["title"] == missing.json()["title"]
    assert (await guarded.http.get("/orders", headers=other)).json()["orders"] == []
    assert [each["orderId"] for each in (await guarded.http.get("/orders", headers=me)).json()["orders"]] == ["1"]
    assert (await guarded.http.get("/orders", params={"customer": "x"}, headers=other)).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Basic Z2F5YWw6eA=="},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer nonsense"},
        bearer("gayal", seconds=-60),
        bearer("gayal", key="another key, long enough to be one"),
        bearer("gayal", algorithm="none"),
        bearer("gayal", algorithm="HS512"),
        bearer(None),
        bearer(""),
        bearer("x" * 101),
        bearer("a\x00b"),
        {"Authorization": f"Bearer {jwt.encode({'sub': 'gayal'}, KEY)}"},
    ],
    ids=[
        "none",
        "basic",
        "empty",
        "nonsense",
        "expired",
        "key",
        "unsigned",
        "hs512",
        "stranger",
        "blank",
        "long",
        "nul",
        "for ever",
    ],
)
async def test_without_a_valid_token_the_body_is_not_read(guarded: OrderApi, headers: dict[str, str]) -> None:
    for response in (
        await guarded.http.post("/orders", content="{", headers=headers),
        await guarded.http.get("/orders", headers=headers),
    ):
        assert response.status_code == 401, response.text
        assert response.headers["www-authenticate"].startswith("Bearer")
        assert response.headers["content-type"] == "application/problem+json"


async def test_idempotency_keys_belong_to_their_customer(guarded: OrderApi) -> None:
    key = {"Idempotency-Key": secrets.token_hex(6)}
    mine = await guarded.http.post("/orders", json={"items": ["mug"]}, headers=key | bearer("one"))
    other = await guarded.http.post("/orders", json={"items": ["teapot"]}, headers=key | bearer("two"))
    assert (mine.status_code, other.status_code) == (202, 202)
