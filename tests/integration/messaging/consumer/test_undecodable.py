"""Messages whose properties AMQP clients cannot decode, between valid messages in the queue of a consumer."""

import hashlib
import random
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from struct import pack

from services.shared.contracts.orders import OrderConfirmed
from tests.messaging_env import MessagingEnv, eventually, record
from tests.undecodable import UNDECODABLE, random_properties
from warren_messaging import codec
from warren_messaging.amqp.properties import RawProperties
from warren_messaging.dead_letters.parked_message import COUNT_HEADER
from warren_messaging.testing import event_of

CONFIRMED = OrderConfirmed(customer="gayal")


@asynccontextmanager
async def one_session(env: MessagingEnv) -> AsyncIterator[None]:
    """A consumer that keeps its first connection to the end."""
    async with env.consumer({OrderConfirmed: record}):
        yield
    assert env.telemetry.statuses == ["probe.queue: consuming"], "the consumer lost its connection"


async def test_undecodable_properties_are_ignored_and_only_invalid_bodies_are_parked(env: MessagingEnv) -> None:
    events = [event_of(CONFIRMED) for _ in UNDECODABLE]
    bad = [f"{{{name}".encode() for name in UNDECODABLE]
    async with one_session(env):
        for event, body, properties in zip(events, bad, UNDECODABLE.values(), strict=True):
            await env.send(codec.encode(event_of(CONFIRMED)))
            await env.send_raw((codec.encode(event), properties), (body, properties))
        await env.wait_for_recorded(2 * len(events))
        await eventually(lambda: len(env.telemetry.failures) == len(bad))
        rows = await env.sql("SELECT key, reason, state FROM failures")
    assert {event.logicalid for event in events} <= set(await env.recorded())
    assert {row["key"] for row in rows} == {hashlib.sha256(body).hexdigest() for body in bad}
    assert {row["state"] for row in rows} == {"parked"}
    assert all(row["reason"].startswith("not JSON") for row in rows)
    parked = await env.receive("probe.dlq", len(bad))
    assert {message.body for message in parked} == set(bad)
    assert all(message.properties.view().undecodable for message in parked), "the properties have changed"


async def test_a_message_with_an_undecodable_count_of_replays_is_parked_at_once(env: MessagingEnv) -> None:
    name = COUNT_HEADER.encode()
    entry = bytes((len(name),)) + name + b"T" + pack(">Q", 2**60)
    properties = RawProperties(b"\x20\x00" + pack(">I", len(entry)) + entry)
    good, bad = event_of(CONFIRMED), event_of(CONFIRMED)
    async with one_session(env):
        await env.send_raw((codec.encode(bad), properties))
        await env.send(codec.encode(good))
        await env.wait_for_recorded(1)
        await eventually(lambda: len(env.telemetry.failures) == 1)
    assert await env.recorded() == [good.logicalid]
    assert env.telemetry.failures == [(f"headers[{COUNT_HEADER!r}]: {2**60} is not a time", 1, True)]
    assert [message.body for message in await env.receive("probe.dlq", 1)] == [codec.encode(bad)]


async def test_random_properties_delay_no_message(env: MessagingEnv) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201
    rng = random.Random(seed)
    events = [event_of(CONFIRMED) for _ in range(200)]
    bad = [rng.randbytes(rng.randrange(1, 2000)) for _ in range(100)]
    bodies = [codec.encode(event) for event in events] + bad
    rng.shuffle(bodies)
    async with one_session(env):
        await env.send_raw(*((body, random_properties(rng)) for body in bodies))
        await env.wait_for_recorded(len(events), 60)
        await eventually(lambda: len(env.telemetry.failures) == len(bad), 60)
    assert set(await env.recorded()) == {event.logicalid for event in events}
    assert all(parked and attempts == 1 for _, attempts, parked in env.telemetry.failures)
    assert {message.body for message in await env.receive("probe.dlq", len(bad))} == set(bad)


async def test_headers_that_fill_a_frame_and_grow_when_parked_do_not_end_the_connection(env: MessagingEnv) -> None:
    value = bytes(131_072 - 8 - 12 - 13)
    table = b"\x01aS" + len(value).to_bytes(4) + value
    full = RawProperties(b"\x20\x00" + len(table).to_bytes(4) + table)
    async with one_session(env):
        await env.send_raw((b"{", full))
        await env.send(codec.encode(event_of(CONFIRMED)))
        await env.wait_for_recorded(1)
        await eventually(lambda: len(env.telemetry.failures) == 1)
    (parked,) = await env.receive("probe.dlq", 1)
    assert len(parked.properties.data) > len(full.data), "the broker adds a header when it parks a message"
    assert parked.properties.header("a") == value.decode()
