"""`warren schedule list, cancel, send-now`, on the tables of two services."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.shared.contracts.orders import OrderCompleted, OrderConfirmed
from tests.integration.dlq.conftest import ParkingLotEnv
from warren_messaging.transaction import Transaction

COMPLETED, CONFIRMED = OrderCompleted(customer="gayal"), OrderConfirmed(customer="gayal")


@pytest.fixture
async def messages(env: ParkingLotEnv) -> dict[str, UUID]:
    """Three messages of the service `probe`: overdue, due in five hours, due in a day; and one of `billing`."""
    await env.add_service("billing")
    ids = {}
    async with env.outbox() as outbox, outbox.transaction(Transaction) as uow:
        for name, data, seconds in (("late", COMPLETED, -7200), ("soon", CONFIRMED, 18000), ("day", COMPLETED, 86400)):
            due = datetime.now(UTC) + timedelta(seconds=seconds)
            ids[name] = uow.announce(data, subject=uuid4(), reference=f"R-{name}", deliver_at=due)
    ids["billing"] = uuid4()
    await env.sql(
        "INSERT INTO billing.scheduled (id, due_at, event_type, subject, exchange, body)"
        " VALUES ($1, now() + interval '2 days', 'bill.due', gen_random_uuid(), 'e', '{}')",
        ids["billing"],
    )
    return ids


async def listed(env: ParkingLotEnv, *arguments: str) -> list[UUID]:
    result = await env.warren("schedule", "list", "--json", *arguments)
    assert result.code == 0, result.err
    return [UUID(document["id"]) for document in result.documents]


async def left(env: ParkingLotEnv) -> set[UUID]:
    rows = await env.sql("SELECT id FROM scheduled UNION SELECT id FROM billing.scheduled")
    return {row[0] for row in rows}


async def test_the_list_shows_what_is_due_next_and_filters(env: ParkingLotEnv, messages: dict[str, UUID]) -> None:
    late, soon, day, billing = messages.values()
    assert await listed(env) == [late, soon, day, billing]
    assert await listed(env, "--limit", "2") == [late, soon]
    assert await listed(env, "--service", "billing") == [billing]
    assert await listed(env, "--type", "order.*") == [late, soon, day]
    assert await listed(env, "--type", "order.confirmed") == [soon]
    assert await listed(env, "--within", "6h") == [late, soon]
    (document,) = (await env.warren("schedule", "list", "--json", "--type", "order.confirmed")).documents
    assert await listed(env, "--order", document["subject"]) == [soon]
    assert (document["service"], document["exchange"], document["event"]["data"]) == (
        "probe", "order.exchange", {"customer": "gayal"},
    )  # fmt: skip
    assert 17_000 < document["seconds"] <= 18_000
    text = (await env.warren("schedule", "list")).out.splitlines()
    assert [line.split() for line in text[:3]] == [
        ["due", "service", "type", "order", "id"],
        ["2", "h", "overdue", "probe", "order.completed", "R-late", str(late)],
        ["in", "5", "h", "probe", "order.confirmed", "R-soon", str(soon)],
    ]
    assert (await env.warren("schedule", "list", "--type", "no.such")).out == "no matching scheduled message\n"


async def test_cancelled_messages_are_removed_and_printed(env: ParkingLotEnv, messages: dict[str, UUID]) -> None:
    late, soon, day, billing = messages.values()
    result = await env.warren("schedule", "cancel", "--type", "order.completed", "--dry-run")
    assert (result.code, result.out.splitlines()[-1]) == (0, "would be cancelled: 2")
    assert await left(env) == set(messages.values())
    result = await env.warren("schedule", "cancel", str(soon), "--json")
    assert (result.code, [each["id"] for each in result.documents]) == (0, [str(soon)])
    result = await env.warren("schedule", "cancel", "--type", "order.completed")
    assert (result.code, result.out.splitlines()[-1]) == (0, "cancelled: 2")
    assert all(str(each) in result.out for each in (late, day))
    assert await left(env) == {billing}
    result = await env.warren("schedule", "cancel", str(soon))
    assert (result.code, result.out, result.err) == (1, "cancelled: 0\n", f"not scheduled: {soon}\n")


async def test_messages_that_are_sent_now_are_due(env: ParkingLotEnv, messages: dict[str, UUID]) -> None:
    result = await env.warren("schedule", "send-now", str(messages["soon"]), str(messages["late"]))
    assert (result.code, result.out.splitlines()[-1]) == (0, "made due: 2")
    async with env.due_message_mover():
        await env.wait_for_scheduled(1)
        await env.wait_for_outbox()
    types = sorted(message.delivery.routing_key for message in await env.drain("probe.queue"))
    assert types == ["order.completed", "order.confirmed"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("cancel",), "select messages: by their ids, with a filter such as --type, or --all (see --help)"),
        (("send-now",), "select messages"),
        (("cancel", "0192"), "'0192' is not the id of a scheduled message; see `warren schedule list`"),
        (("list", "--within", "soon"), "'soon' is not a time"),
        (("list", "--service", "none"), "no tables of none that this role may read; there are: probe"),
    ],
)
async def test_wrong_input_is_refused_in_words(env: ParkingLotEnv, arguments: Any, text: str) -> None:
    result = await env.warren("schedule", *arguments)
    assert (result.code, result.out) == (1, "")
    assert text in result.err
