"""`warren order …` against a shop that is a dictionary."""

import io
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from rich.console import Console

from warren import cli, client
from warren.cli import orders, screen
from warren.http import HttpResponse

NUMBERED = uuid.UUID("0192f3c4-0000-7000-8000-00000000abcd")
PLAIN = uuid.UUID("0192f3c4-0000-7000-8000-000012345678")


def order(identity: uuid.UUID, **fields: Any) -> dict[str, Any]:
    placed = (datetime.now(UTC) - timedelta(hours=5)).isoformat()
    return {
        "id": str(identity),
        "orderId": None,
        "customer": "gayal",
        "state": "PAID",
        "reason": None,
        "totalCents": 123456,
        "currency": "EUR",
        "express": False,
        "version": 3,
        "createdAt": placed,
        "updatedAt": placed,
        "lines": [{"sku": "mug", "quantity": 2, "unitCents": 1}],
    } | fields


ORDERS = [
    order(NUMBERED, orderId="k1\x1b[2J", customer="a customer with a very long name indeed", state="COMPLETED"),
    order(PLAIN, state="CANCELLED", reason="payment_failed"),
]
EVENTS = [
    {"event": {"time": "2026-11-22T12:00:00Z", "type": "order.created", "source": "/warren/order"}},
    {"event": {"time": "2026-11-22T12:00:01.5Z", "type": "inventory.reserved", "source": "/warren/inventory"}},
]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []

    def request(method: str, url: str, **_: Any) -> HttpResponse:
        found.append((method, url))
        path, query = urlsplit(url).path, parse_qs(urlsplit(url).query)
        if path == "/orders":
            wanted = query.get("orderId", [None])[0]
            page = [each for each in ORDERS if wanted in {None, each["orderId"]}]
            return HttpResponse(url, 200, json.dumps({"orders": page}).encode())
        if path.startswith("/audit/orders/"):
            return HttpResponse(url, 200, json.dumps({"events": EVENTS}).encode())
        (match,) = [each for each in ORDERS if each["id"] in path]
        return HttpResponse(url, 200, json.dumps(match).encode())

    monkeypatch.setattr(client, "request", request)
    monkeypatch.setenv("WARREN_URL", "http://shop")
    monkeypatch.delenv("WARREN_AUDIT_URL", raising=False)
    return found


def warren(monkeypatch: pytest.MonkeyPatch, *arguments: str, columns: int = 60) -> str:
    text = io.StringIO()
    console = Console(file=text, width=columns, highlight=False, emoji=False)
    monkeypatch.setattr(orders, "out", console)
    monkeypatch.setattr(screen, "out", console)
    assert cli.load(["order", *arguments])() == 0
    return text.getvalue()


def test_a_list_fits_into_sixty_columns_and_each_order_into_a_line(
    monkeypatch: pytest.MonkeyPatch, asked: list[tuple[str, str]]
) -> None:
    heading, first, second = warren(monkeypatch, "list").splitlines()
    assert max(map(len, (heading, first, second))) <= 60
    assert heading.split() == ["order", "customer", "state", "reason", "total", "age"]
    for word in (r"k1\x1b[2J", "COMPLETED", "1234.56 EUR", "5 h"):
        assert word in first
    for word in ("12345678", "CANCELLED", "payment", "1234.56 EUR", "5 h"):
        assert word in second


def test_as_json_a_list_has_everything(
    monkeypatch: pytest.MonkeyPatch, asked: list[tuple[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    warren(monkeypatch, "list", "--json")
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [document.items() >= each.items() for document, each in zip(documents, ORDERS, strict=True)] == [True, True]


@pytest.mark.parametrize("name", ["12345678", str(PLAIN), "000012345678"])
def test_an_order_is_found_by_the_end_of_its_id(
    name: str, monkeypatch: pytest.MonkeyPatch, asked: list[tuple[str, str]]
) -> None:
    assert str(PLAIN) in warren(monkeypatch, "show", name)


def test_the_history_is_shown_where_the_audit_service_is_known(
    monkeypatch: pytest.MonkeyPatch, asked: list[tuple[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "order.created" not in warren(monkeypatch, "show", "12345678")
    monkeypatch.setenv("WARREN_AUDIT_URL", "http://audit/")
    printed = warren(monkeypatch, "show", "12345678")
    assert "0.00 s  order.created" in printed
    assert "1.50 s  inventory.reserved" in printed
    assert asked[-1] == ("GET", f"http://audit/audit/orders/{PLAIN}")
    warren(monkeypatch, "show", "12345678", "--json")
    assert json.loads(capsys.readouterr().out)["history"][0]["type"] == "order.created"


def test_commands_that_change_an_order_answer_in_json_too(
    monkeypatch: pytest.MonkeyPatch, asked: list[tuple[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("cancel", "confirm", "watch"):
        warren(monkeypatch, command, "12345678", "--json")
        assert json.loads(capsys.readouterr().out)["id"] == str(PLAIN)
