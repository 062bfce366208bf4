"""`warren order …` against an in-memory order API."""

import io
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from rich.console import Console

from warren import cli, client
from warren.cli import order_actions, screen
from warren.http import HttpResponse

WITH_REFERENCE = uuid.UUID("0192f3c4-0000-7000-8000-00000000abcd")
WITHOUT_REFERENCE = uuid.UUID("0192f3c4-0000-7000-8000-000012345678")


def order(order_id: uuid.UUID, **fields: Any) -> dict[str, Any]:
    placed = (datetime.now(UTC) - timedelta(hours=5)).isoformat()
    return {
        "id": str(order_id),
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
    order(WITH_REFERENCE, orderId="k1\x1b[2J", customer="a customer with a very long name indeed", state="COMPLETED"),
    order(WITHOUT_REFERENCE, state="CANCELLED", reason="payment_failed"),
]
EVENTS = [
    {"event": {"time": "2026-11-22T12:00:00Z", "type": "order.created", "source": "/warren/order"}},
    {"event": {"time": "2026-11-22T12:00:01.5Z", "type": "inventory.reserved", "source": "/warren/inventory"}},
]


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    seen: list[tuple[str, str]] = []

    def request(method: str, url: str, **_: Any) -> HttpResponse:
        seen.append((method, url))
        path, query = urlsplit(url).path, parse_qs(urlsplit(url).query)
        if path == "/orders":
            reference = query.get("orderId", [None])[0]
            page = [each for each in ORDERS if reference in {None, each["orderId"]}]
            return HttpResponse(url, 200, json.dumps({"orders": page}).encode())
        if path.startswith("/audit/orders/"):
            return HttpResponse(url, 200, json.dumps({"events": EVENTS}).encode())
        (match,) = [each for each in ORDERS if each["id"] in path]
        return HttpResponse(url, 200, json.dumps(match).encode())

    monkeypatch.setattr(client, "request", request)
    monkeypatch.setenv("WARREN_URL", "http://shop")
    monkeypatch.delenv("WARREN_AUDIT_URL", raising=False)
    return seen


@pytest.fixture
def warren(monkeypatch: pytest.MonkeyPatch, requests: list[tuple[str, str]]) -> Callable[..., str]:
    """Runs `warren order` on a narrow terminal, gives what it printed."""

    def run(*arguments: str) -> str:
        text = io.StringIO()
        console = Console(file=text, width=60, highlight=False, emoji=False)
        monkeypatch.setattr(order_actions, "out", console)
        monkeypatch.setattr(screen, "out", console)
        assert cli.load(["order", *arguments])() == 0
        return text.getvalue()

    return run


def test_a_list_has_one_line_an_order_and_fits_a_narrow_terminal(warren: Callable[..., str]) -> None:
    heading, first, second = warren("list").splitlines()
    assert max(map(len, (heading, first, second))) <= 60
    assert heading.split() == ["order", "customer", "state", "reason", "total", "age"]
    for word in (r"k1\x1b[2J", "COMPLETED", "1234.56 EUR", "5 h"):
        assert word in first
    for word in ("12345678", "CANCELLED", "payment", "1234.56 EUR", "5 h"):
        assert word in second


def test_a_json_list_has_all_fields(warren: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    warren("list", "--json")
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [document.items() >= each.items() for document, each in zip(documents, ORDERS, strict=True)] == [True, True]


@pytest.mark.parametrize("name", ["12345678", str(WITHOUT_REFERENCE), "000012345678"])
def test_an_order_is_found_by_the_end_of_its_id(name: str, warren: Callable[..., str]) -> None:
    assert str(WITHOUT_REFERENCE) in warren("show", name)


def test_the_history_is_shown_if_the_audit_url_is_known(
    warren: Callable[..., str],
    requests: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "order.created" not in warren("show", "12345678")
    monkeypatch.setenv("WARREN_AUDIT_URL", "http://audit/")
    printed = warren("show", "12345678")
    assert "0.00 s  order.created" in printed
    assert "1.50 s  inventory.reserved" in printed
    assert requests[-1] == ("GET", f"http://audit/audit/orders/{WITHOUT_REFERENCE}")
    warren("show", "12345678", "--json")
    assert json.loads(capsys.readouterr().out)["history"][0]["type"] == "order.created"


def test_commands_that_change_an_order_print_json(
    warren: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("cancel", "confirm", "watch"):
        warren(command, "12345678", "--json")
        assert json.loads(capsys.readouterr().out)["id"] == str(WITHOUT_REFERENCE)
