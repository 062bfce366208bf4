"""Messages whose properties no client can decode, in the queue of a consumer and beside good ones."""

import hashlib
import random
import secrets
from collections.abc import Iterable
from struct import pack

import pytest

from services.shared.contracts import Event, EventData
from services.shared.contracts.orders import OrderConfirmed
from tests.messaging_env import MessagingEnv, eventually
from tests.undecodable import UNDECODABLE, random_properties
from warren_messaging import codec
from warren_messaging.amqp.properties import RawProperties
from warren_messaging.dead_letters.parked_message import COUNT_HEADER
from warren_messaging.testing import event_of
from warren_messaging.transaction import Transaction

CONFIRMED = OrderConfirmed(customer="gayal")


@pytest.fixture(autouse=True)
async def _seen_table(env: MessagingEnv) -> None:
    await env.sql("CREATE TABLE seen (id uuid, type text)")


async def note(event: Event[EventData], work: Transaction) -> Iterable[EventData]:
    await work.connection.execute("INSERT INTO seen VALUES ($1, $2)", event.logicalid, event.type)
    return []


async def seen(env: MessagingEnv) -> list[str]:
    return sorted(str(row["id"]) for row in await env.sql("SELECT id FROM seen"))


async def test_they_are_read_like_any_other_and_parked_only_for_what_their_bodies_say(env: MessagingEnv) -> None:
    events = [event_of(CONFIRMED) for _ in UNDECODABLE]
    bad = [f"{{{name}".encode() for name in UNDECODABLE]
    async with env.consumer({OrderConfirmed: note}):
        for event, body, properties in zip(events, bad, UNDECODABLE.values(), strict=True):
            await env.send(codec.encode(event_of(CONFIRMED)))
            await env.send_raw((codec.encode(event), properties), (body, properties))
        await eventually(lambda: _are_seen(env, 2 * len(events)))
        await eventually(lambda: len(env.telemetry.failures) == len(bad))
        rows = await env.sql("SELECT key, reason, state FROM failures")
    assert {str(event.logicalid) for event in events} <= set(await seen(env))
    assert env.telemetry.statuses == ["probe.queue: consuming"], "the consumer lost its connection"
    assert {row["key"] for row in rows} == {hashlib.sha256(body).hexdigest() for body in bad}
    assert {row["state"] for row in rows} == {"parked"}
    assert all(row["reason"].startswith("not JSON") for row in rows)
    parked = await env.receive("probe.dlq", len(bad))
    assert {message.body for message in parked} == set(bad)
    assert all(message.properties.view().undecodable for message in parked), (
        "their properties came through as they were"
    )


async def test_what_decides_about_a_message_and_cannot_be_decoded_parks_it_at_once(env: MessagingEnv) -> None:
    name = COUNT_HEADER.encode()
    entry = bytes((len(name),)) + name + b"T" + pack(">Q", 2**60)
    properties = RawProperties(b"\x20\x00" + pack(">I", len(entry)) + entry)
    good, bad = event_of(CONFIRMED), event_of(CONFIRMED)
    async with env.consumer({OrderConfirmed: note}):
        await env.send_raw((codec.encode(bad), properties))
        await env.send(codec.encode(good))
        await eventually(lambda: _are_seen(env, 1))
        await eventually(lambda: len(env.telemetry.failures) == 1)
    assert await seen(env) == [str(good.logicalid)]
    assert env.telemetry.failures == [(f"headers[{COUNT_HEADER!r}]: {2**60} is not a time", 1, True)]
    assert env.telemetry.statuses == ["probe.queue: consuming"]
    assert [message.body for message in await env.receive("probe.dlq", 1)] == [codec.encode(bad)]


async def test_random_properties_hold_up_nothing(env: MessagingEnv) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201
    chance = random.Random(seed)
    events = [event_of(CONFIRMED) for _ in range(200)]
    bad = [chance.randbytes(chance.randrange(1, 2000)) for _ in range(100)]
    bodies = [codec.encode(event) for event in events] + bad
    chance.shuffle(bodies)
    async with env.consumer({OrderConfirmed: note}):
        await env.send_raw(*((body, random_properties(chance)) for body in bodies))
        await eventually(lambda: _are_seen(env, len(events)), 60)
        await eventually(lambda: len(env.telemetry.failures) == len(bad), 60)
    assert set(await seen(env)) == {str(event.logicalid) for event in events}
    assert all(parked and attempts == 1 for _, attempts, parked in env.telemetry.failures)
    assert env.telemetry.statuses == ["probe.queue: consuming"], "the consumer lost its connection"
    assert {message.body for message in await env.receive("probe.dlq", len(bad))} == set(bad)


async def _are_seen(env: MessagingEnv, count: int) -> bool:
    return len(await seen(env)) >= count


async def test_headers_that_fill_a_frame_and_grow_by_the_broker_s_notes_end_no_connection(env: MessagingEnv) -> None:
    value = bytes(131_072 - 8 - 12 - 13)
    table = b"\x01aS" + len(value).to_bytes(4) + value
    full = RawProperties(b"\x20\x00" + len(table).to_bytes(4) + table)
    async with env.consumer({OrderConfirmed: note}):
        await env.send_raw((b"{", full))
        await env.send(codec.encode(event_of(CONFIRMED)))
        await eventually(lambda: _are_seen(env, 1))
        await eventually(lambda: len(env.telemetry.failures) == 1)
    assert env.telemetry.statuses == ["probe.queue: consuming"], "the consumer lost its connection"
    (parked,) = await env.receive("probe.dlq", 1)
    assert len(parked.properties.data) > len(full.data), "the broker has noted why it is parked"
    assert parked.properties.header("a") == value.decode()
