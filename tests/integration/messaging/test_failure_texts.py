"""Recording a failure never fails over what is recorded: the message would come back for ever."""

import hashlib

import asyncpg
import pytest

from services.shared.contracts.orders import OrderConfirmed
from tests.messaging_env import MessagingEnv, eventually
from warren_messaging import TransientError, codec
from warren_messaging.postgres import failures
from warren_messaging.testing import event_of

TEXTS = ["a\0b", "\ud800", "\udc00\ud800", "\x1b[2J", "x" * 100_000, "\U0001f600" * 3000, "\ufffe"]


async def test_a_failure_is_recorded_whatever_its_text(env: MessagingEnv) -> None:
    database = env.database()
    await database.open()
    async with database.connection() as connection:
        for number, text in enumerate(TEXTS):
            key = f"{number}{text[:20]}"
            recorded: object
            try:
                recorded = await failures.record(
                    connection, "probe", key, text, event_type=text, subject=None, limit=None
                )
            except asyncpg.PostgresError as error:
                recorded = error
            assert recorded == (1, True)
            await failures.succeeded(connection, "probe", [key])
    await database.close()
    assert await env.sql("SELECT DISTINCT state FROM failures") == [("succeeded",)]


@pytest.mark.parametrize("escape", ["\\u0000", "\\ud800", "\\u001b"])
async def test_text_that_the_database_refuses_is_parked_at_once_wherever_it_stands(
    env: MessagingEnv, escape: str
) -> None:
    async def fail(event: object, work: object) -> None:
        raise TransientError("must not be reached")

    body = codec.encode(event_of(OrderConfirmed(customer="CUSTOMER"), reference="REFERENCE"))
    whole = [
        body.replace(old, new % escape.encode())
        for old, new in (
            (b"CUSTOMER", b"a%sb"),
            (b"REFERENCE", b"a%sb"),
            (b"/warren/order", b"/warren%s/order"),
            (b'"order.confirmed"', b'"order.confirmed%s"'),
            (b'"data"', b'"logicalid":"%s","data"'),
        )
    ]
    async with env.consumer({OrderConfirmed: fail}):
        await env.send(*whole, b'{"logicalid":"a%s"}' % escape.encode(), user_id="order", routing_key="order.confirmed")
        await eventually(lambda: is_parked(env, len(whole) + 1))
    assert {(attempts, last) for _, attempts, last in env.telemetry.failures} == {(1, True)}
    keys = [hashlib.sha256(message.body).hexdigest() for message in await env.drain("probe.dlq")]
    rows = await env.sql("SELECT state FROM failures WHERE key = ANY($1)", keys)
    assert [row[0] for row in rows] == ["parked"] * (len(whole) + 1)


async def is_parked(env: MessagingEnv, count: int) -> bool:
    return await env.depth("probe.dlq") == count
