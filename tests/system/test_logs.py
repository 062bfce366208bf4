"""What the processes log about orders with addresses and payment tokens: JSON lines, connected, without private values.

All processes of these tests log JSON at the level debug, so the lines of the other tests are examined too.
"""

import asyncio
import json
import secrets
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from services.registry import PROCESSES
from tests.system.shop import Shop
from tests.system.test_redrive import warren
from warren.http import basic_auth

MARK = "Lovelace"
CUSTOMER, REFUSED_CUSTOMER = f"Ada {MARK}", f"Ada {MARK} II"
TOKEN = f"tok_4111-{MARK}"
MAIL, PHONE = f"bounce-ada.{MARK.lower()}@mail.example", "+999400170555"
CONTACT = {"email": MAIL, "phone": PHONE}
BEARER = f"eyJhbGciOiJIUzI1NiJ9.{MARK}.c2ln"
PRIVATE = (MARK, MARK.lower(), MARK.upper(), PHONE, "999400170", "tok_4111")
REFUSE = f"""
    CREATE FUNCTION public.refuse_private() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION 'cannot write {MAIL}' USING DETAIL = 'customer {CUSTOMER}, {TOKEN}, {PHONE}';
    END $$
"""


class Logs:
    """The log of each process."""

    def __init__(self, shop: Shop) -> None:
        self._files = {name: shop.system.processes.log_file(name) for name in {*PROCESSES, "sinks"}}

    def raw(self, name: str) -> bytes:
        return self._files[name].read_bytes()

    def lines(self, name: str) -> list[dict[str, Any]]:
        """Complete lines; a process may be writing the last one."""
        complete = self.raw(name).rpartition(b"\n")[0]
        return [_parsed(name, line) for line in complete.splitlines()]

    def all(self) -> Iterator[tuple[str, dict[str, Any]]]:
        return ((name, line) for name in self._files for line in self.lines(name))

    def require_no(self, *values: str) -> None:
        for name in self._files:
            found = [value for value in values if value.encode() in self.raw(name)]
            assert not found, (name, found, [line for line in self.raw(name).splitlines() if found[0].encode() in line])

    def wait_for(self, name: str, **fields: object) -> dict[str, Any]:
        deadline = time.monotonic() + 30
        while True:
            for line in reversed(self.lines(name)):
                if line == line | fields:
                    return line
            assert time.monotonic() < deadline, f"{name} logged no {fields}"
            time.sleep(0.1)


def _parsed(name: str, line: bytes) -> dict[str, Any]:
    try:
        return dict(json.loads(line))
    except ValueError as error:
        raise AssertionError(f"a line of {name} is not JSON: {line!r}") from error


@pytest.fixture
def logs(shop: Shop) -> Logs:
    return Logs(shop)


def order(shop: Shop, traceparent: str | None = None, **fields: Any) -> httpx.Response:
    body = {"user": CUSTOMER, "items": ["item1"], "contact": CONTACT, **fields}
    headers = {"Authorization": f"Bearer {BEARER}"} | ({"traceparent": traceparent} if traceparent else {})
    response = httpx.post(f"{shop.system.url('order-api')}/orders", json=body, headers=headers, timeout=30)
    if response.status_code == 202:
        shop.accepted.append(UUID(response.json()["id"]))
    return response


@contextmanager
def refusing(shop: Shop, table: str) -> Iterator[None]:
    """Within the block PostgreSQL refuses new rows of a table, and quotes private values."""

    async def run(*statements: str) -> None:
        async with shop.system.servers.postgres.endpoint.connection() as connection:
            for statement in statements:
                await connection.execute(statement)

    trigger = f"CREATE TRIGGER refuse BEFORE INSERT ON {table} EXECUTE FUNCTION public.refuse_private()"
    asyncio.run(run(REFUSE, trigger))
    try:
        yield
    finally:
        asyncio.run(run("DROP FUNCTION public.refuse_private CASCADE"))


def poison(shop: Shop, queue: str) -> None:
    broker = shop.system.servers.broker.endpoints
    body = {"specversion": "1.0", "type": "order.paid", "subject": MAIL, "data": {"customer": CUSTOMER, "token": TOKEN}}
    message = {"routing_key": queue, "payload": json.dumps(body), "payload_encoding": "string"}
    url = f"{broker.management_url}/api/exchanges/orders/redrive.exchange/publish"
    headers = basic_auth(*broker.login)
    tls = ssl.create_default_context(cafile=broker.ca_file)
    httpx.post(url, json=message | {"properties": {}}, headers=headers, verify=tls).raise_for_status()


def test_every_line_about_an_order_has_the_trace_of_its_request(shop: Shop, logs: Logs) -> None:
    trace = secrets.token_hex(16)
    reference = f"R-{trace[:8]}"
    response = order(shop, f"00-{trace}-{secrets.token_hex(8)}-01", orderId=reference, contact={})
    order_id = response.json()["id"]
    shop.reaches(shop.client.find(order_id), "COMPLETED")
    logs.wait_for("audit", event="delivery processed", event_type="order.completed", subject=order_id)
    found = [(name, line) for name, line in logs.all() if line.get("subject") == order_id and "event_type" in line]
    assert {name for name, _ in found} >= {"order-api", "order-worker", "inventory", "payment", "shipping", "audit"}
    for name, line in found:
        assert UUID(line["event_id"])
        assert (line.get("trace_id"), line["reference"], line["service"]) == (trace, reference, name), line
    answered = logs.wait_for("order-api", event="request answered", subject=order_id, method="POST")
    assert (answered["route"], answered["status"], answered["trace_id"]) == ("/orders", 202, trace)


def test_no_log_has_private_values_whatever_fails(shop: Shop, logs: Logs, tmp_path: Path) -> None:
    declined = order(shop, paymentToken=TOKEN)
    bounced = order(shop)
    for status, wrong in (
        (400, {"paymentToken": f"4111 {MARK}"}),
        (400, {MARK: MAIL}),
        (422, {"contact": {"email": f"{MARK}@nowhere"}}),
        (422, {"items": [f"{MARK}-sku"]}),
    ):
        assert order(shop, **wrong).status_code == status, wrong
    api = shop.system.url("order-api")
    assert httpx.get(f"{api}/orders/{MARK}/{MAIL}?customer={MARK}").status_code == 404
    assert httpx.post(f"{api}/orders", content=f'{{"user": "{MARK}", "contact": ').status_code in {400, 415}
    with refusing(shop, '"order".orders'):
        assert order(shop, user=REFUSED_CUSTOMER).status_code == 500
    poison(shop, "shipping.queue")

    parked = logs.wait_for("shipping", event="delivery parked")
    assert parked["reason"].startswith("not a CloudEvent")
    failed = logs.wait_for("order-api", event="request failed", route="/orders")
    assert "cannot write ***" in failed["exception"], "the error must be logged, without what it quotes"
    assert "DETAIL:***" in failed["exception"]
    for channel in ("email", "sms"):
        line = logs.wait_for(channel, event="delivery parked", event_type="notification.requested")
        assert " refused" in line["reason"], line
    shop.reaches(shop.client.find(declined.json()["id"]), "CANCELLED")
    shop.reaches(shop.client.find(bounced.json()["id"]), "COMPLETED")
    logs.require_no(*PRIVATE)
    for queue in ("shipping", "email", "sms"):
        dropped = warren(
            shop.system, tmp_path, "dlq", "drop", "--queue", queue, "--yes", "--record", str(tmp_path / queue)
        )
        assert dropped.returncode == 0, dropped.stderr


def test_a_failed_handler_is_logged_with_its_order_and_without_private_values(shop: Shop, logs: Logs) -> None:
    with refusing(shop, "notification.conversations"):
        order_id = order(shop, contact={"phone": "+491700000000"}).json()["id"]
        line = logs.wait_for("notification", event="delivery failed", subject=order_id)
    assert line["reason"] == "cannot write ***"
    assert UUID(line["event_id"])
    shop.reaches(shop.client.find(order_id), "COMPLETED")
    logs.require_no(*PRIVATE, "491700000000")


def test_every_line_of_every_process_is_json_without_credentials(shop: Shop, logs: Logs) -> None:
    lines = list(logs.all())
    assert {name for name, _ in lines} >= set(PROCESSES)
    for name, line in lines:
        assert {"timestamp", "level", "event"} <= line.keys(), line
        assert line["service"] == name, line
    passwords = {file.read_text().strip() for file in shop.system.secrets.rglob("*password*") if file.is_file()}
    assert len(passwords) > len(PROCESSES)
    logs.require_no(*passwords, shop.system.servers.broker.endpoints.admin_password)
