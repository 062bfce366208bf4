"""The examples of the how-to pages in docs/messaging run on a real database."""

import json
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import pytest
from litestar.testing import AsyncTestClient

from tests.messaging_env import MessagingEnv
from warren_messaging import Database
from warren_messaging.testing import ConsumerHarness, event_of

DOCS = Path(__file__).resolve().parents[3] / "docs" / "messaging"


async def written(env: MessagingEnv, page: str, **names: Any) -> dict[str, Any]:
    """Create the tables of a page and return the names that its examples define."""
    text = (DOCS / f"{page}.md").read_text()
    for block in re.findall(r"```sql\n(.*?)```", text, re.DOTALL):
        for statement in filter(None, map(str.strip, block.split(";"))):
            await env.sql(statement)
    name = f"page_{page}"
    module = sys.modules[name] = ModuleType(name)  # Litestar looks for the module of a function
    vars(module).update(names)
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(block, vars(module))  # noqa: S102 - a page of this repository
    return vars(module)


@asynccontextmanager
async def opened_database(env: MessagingEnv) -> AsyncIterator[Database]:
    database = env.database()
    await database.open()
    try:
        yield database
    finally:
        await database.close()


@pytest.mark.parametrize("handlers", ["HANDLERS", "BATCH_HANDLERS"])
async def test_the_handlers_store_points(env: MessagingEnv, handlers: str) -> None:
    page = await written(env, "handlers")
    async with opened_database(env) as database:
        transaction = page["Points" if handlers == "BATCH_HANDLERS" else "Transaction"]
        harness = ConsumerHarness(page[handlers], transaction, database=database)
        await harness.deliver(*(page["OrderPaid"](customer="ada", total_cents=300) for _ in range(5)), copies=3)
        assert harness.parked == []
        await page["give_points"](harness.outbox, "ada", 1)
    assert [tuple(row) for row in await env.sql("SELECT count(*), sum(points) FROM points")] == [(6, 16)]
    assert page["PointsEarned"](customer="ada", points=1) in harness.announced


async def test_the_sqlalchemy_handler_adds_points(env: MessagingEnv) -> None:
    page = await written(env, "sqlalchemy")
    async with opened_database(env) as database:
        harness = ConsumerHarness(page["HANDLERS"], database=database)
        await harness.deliver(*(page["OrderPaid"](customer="ada", total_cents=300) for _ in range(5)), copies=3)
        assert harness.parked == []
    assert [tuple(row) for row in await env.sql("TABLE balances")] == [("ada", 15)]


class Gateway:
    def __init__(self) -> None:
        self.keys: list[str] = []

    async def charge(self, cents: int, *, idempotency_key: str) -> bool:
        self.keys.append(idempotency_key)
        return cents < 1000


async def test_the_effect_charges_or_is_declined(env: MessagingEnv) -> None:
    gateway = Gateway()
    page = await written(env, "effects", gateway=gateway)
    harness = ConsumerHarness(page["service"].consumers[0].handlers)
    placed = [event_of(page["OrderPlaced"](cents=cents)) for cents in (100, 2000, 0)]
    await harness.deliver(*placed)
    assert harness.announced == [page["OrderCharged"](), page["OrderDeclined"]()]
    assert gateway.keys == [str(event.logicalid) for event in placed[:2]]


async def test_the_periodic_job_announces_what_is_due(env: MessagingEnv) -> None:
    page = await written(env, "periodic-jobs")
    due = uuid4()
    await env.sql("INSERT INTO deadlines VALUES ($1, now()), ($2, now() + interval '1 day')", due, uuid4())
    async with opened_database(env) as database:
        harness = ConsumerHarness({}, database=database)
        assert await harness.run_job(page["expire_orders"]) == 1
        assert await harness.run_job(page["expire_orders"]) == 0
    assert [event.subject for event in harness.events] == [due]


async def test_a_request_of_the_web_application_announces_its_event(
    env: MessagingEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    await env.separate_announcements()
    broker, database = env.broker_address(), env.database_address()
    for name, value in {
        "BROKER_URL": broker.url,
        "BROKER_CREDENTIALS": broker.credentials,
        "BROKER_CA_FILE": broker.ca_file,
        "DATABASE_URL": database.url,
        "DATABASE_PASSWORD_FILE": database.password_file,
        "DATABASE_CA_FILE": database.ca_file,
    }.items():
        monkeypatch.setenv(f"ORDER_{name}", str(value))
    page = await written(env, "web")
    async with AsyncTestClient(page["application"]) as client:
        response = await client.post("/orders", json={"item": "mug"})
        assert response.status_code == 201
        (message,) = await env.receive("announced.queue", 1)
    assert (message.routing_key, json.loads(message.body)["subject"]) == ("order.placed", response.json()["id"])
    assert [str(row["id"]) for row in await env.sql("TABLE orders")] == [response.json()["id"]]


async def test_the_reminder_is_sent_unless_the_payment_arrives(env: MessagingEnv) -> None:
    page = await written(env, "scheduling")
    unpaid, paid = uuid4(), uuid4()
    async with opened_database(env) as database:
        harness = ConsumerHarness(page["HANDLERS"], database=database)
        await harness.deliver(*(event_of(page["OrderPlaced"](), subject=order) for order in (unpaid, paid)))
        assert len(await harness.scheduled()) == 2
        await harness.deliver(event_of(page["OrderPaid"](), subject=paid))
        assert [message.event.subject for message in await harness.scheduled()] == [unpaid]
        await harness.advance(86_000)
        assert harness.events == []
        await harness.advance(500)
    assert [event.subject for event in harness.events] == [unpaid]
