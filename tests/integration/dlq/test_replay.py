"""A replay from a parking lot of a real broker loses no message, even if it is killed."""

import asyncio
import signal
import uuid
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime

import pytest
from aiormq import spec

from services.shared.contracts import AnyEvent, Event, EventData
from services.shared.contracts.orders import OrderConfirmed
from tests.integration.dlq.conftest import ParkingLotEnv
from tests.messaging_env import eventually
from warren_messaging import codec
from warren_messaging.dead_letters import actions
from warren_messaging.dead_letters.actions import ReplaySummary
from warren_messaging.dead_letters.parked_message import ParkedMessage
from warren_messaging.dead_letters.parking_lot import FIRST_WINDOW, GROWTH, parking_lot
from warren_messaging.errors import PermanentError
from warren_messaging.testing import event_of
from warren_messaging.transaction import Transaction

CONFIRMED = OrderConfirmed(customer="gayal")


def events(count: int) -> list[bytes]:
    return [codec.encode(event_of(CONFIRMED)) for _ in range(count)]


async def select_all(window: list[ParkedMessage]) -> list[ParkedMessage]:
    return window


async def replay(env: ParkingLotEnv, lot: str = "probe.dlq", **options: object) -> ReplaySummary:
    async with parking_lot(env.dlq, lot) as opened:
        return await actions.replay(env.dlq, opened, select_all, **options)  # type: ignore[arg-type]


async def test_a_replayed_message_equals_the_original(env: ParkingLotEnv) -> None:
    event = event_of(CONFIRMED, source=f"/warren/{env.servers.broker.endpoints.admin_username}")
    sent = spec.Basic.Properties(
        content_type="application/cloudevents+json",
        delivery_mode=2,
        message_id=str(event.id),
        correlation_id=str(event.subject),
        message_type=event.type,
        timestamp=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        priority=9,
        app_id="order",
        user_id=env.servers.broker.endpoints.admin_username,
        headers={"traceparent": "00-1-2-01", "count": 7, "CC": ["other.queue"]},
    )
    await env.reject((codec.encode(event), sent))
    assert len(await env.drain("other.queue")) == 1
    assert (await replay(env)).replayed == 1
    (message,) = await env.drain("probe.queue")
    got = message.header.properties
    assert bytes(message.body) == codec.encode(event)
    for name in ("content_type", "delivery_mode", "message_id", "correlation_id", "message_type", "timestamp"):
        assert getattr(got, name) == getattr(sent, name), name
    assert (got.priority, got.app_id, got.user_id, got.expiration) == (9, "order", "dlq", None)
    assert got.headers.pop("x-warren-replay")
    assert got.headers == {"traceparent": "00-1-2-01", "count": 7, "x-warren-replays": 1}
    assert await env.drain("other.queue") == [], "the header CC must be ignored"
    assert await env.drain("probe.dlq") == []


async def test_an_unroutable_message_stays_parked_at_its_position(env: ParkingLotEnv) -> None:
    bodies = [b"bare", *events(3), b"poison", b"poison"]
    # For a message without a message id the driver cannot match a basic.return to the publish.
    await env.park_bare(bodies[0])
    await env.park(*bodies[1:])
    await env.park(bodies[1], bodies[1])  # duplicates: the same message id
    async with env.channel() as channel:
        await channel.queue_unbind("probe.queue", "redrive.exchange", "probe.queue")
    summary = await replay(env, window=3)
    assert (summary.replayed, summary.left) == (0, 8)
    assert list(summary.reasons) == ["no queue accepts it: is probe.queue bound to redrive.exchange?"]
    assert await env.bodies("probe.dlq") == [*bodies, bodies[1], bodies[1]]


async def test_a_run_replays_a_message_once_even_if_it_is_parked_again(env: ParkingLotEnv) -> None:
    async def fail(event: Event[OrderConfirmed], uow: Transaction) -> Iterable[EventData]:
        raise PermanentError("the order is closed")

    # Messages of a higher priority, when parked again, precede messages that this run has not replayed yet.
    await env.park(*events(15))
    await env.park(*events(15), priority=10)
    async with env.consumer({OrderConfirmed: fail}):

        async def select_after_failures(window: list[ParkedMessage]) -> list[ParkedMessage]:
            # Wait until every message of the windows before has failed and is parked again.
            await eventually(lambda: len(env.telemetry.failures) >= selected.total())
            await eventually(lambda: env.has_depth("probe.queue", 0))
            selected["all"] += len(window)
            return window

        selected: Counter[str] = Counter()
        async with parking_lot(env.dlq, "probe.dlq") as lot:
            summary = await actions.replay(env.dlq, lot, select_after_failures, window=4)
        assert (summary.replayed, summary.left) == (30, 0)
        await eventually(lambda: env.has_depth("probe.dlq", 30))
    assert len(env.telemetry.failures) == 30
    assert {message.header.properties.headers["x-warren-replays"] for message in await env.drain("probe.dlq")} == {1}


async def test_a_replay_restarts_the_attempts_and_succeeds_when_the_cause_is_gone(env: ParkingLotEnv) -> None:
    repaired: list[bool] = []
    processed: list[uuid.UUID] = []

    async def on_confirmed(event: Event[OrderConfirmed], uow: Transaction) -> Iterable[EventData]:
        if not repaired:
            raise RuntimeError("gateway is down")
        processed.append(event.logicalid)
        return []

    event = event_of(CONFIRMED, reference="123")
    await env.send(codec.encode(event), b"poison")
    async with env.consumer({OrderConfirmed: on_confirmed}, attempts=2):
        await eventually(lambda: env.has_depth("probe.dlq", 2))
        assert await recorded_failures(env) == {str(event.logicalid): ("parked", 2), "hash": ("parked", 1)}
        result = await env.warren("dlq", "replay", "--queue", "probe")
        assert (result.code, result.out) == (0, "replayed 2 of 2 examined\n")
        await eventually(lambda: env.has_depth("probe.dlq", 2))
        assert await recorded_failures(env) == {str(event.logicalid): ("parked", 2), "hash": ("parked", 1)}
        repaired.append(True)
        assert (await env.warren("dlq", "replay", "--queue", "probe", "--order", "123")).code == 0
        await eventually(lambda: succeeded(env, event))
    assert processed == [event.logicalid]
    assert await env.bodies("probe.dlq") == [b"poison"]


async def recorded_failures(env: ParkingLotEnv) -> dict[str, tuple[str, int]]:
    """State and attempts by logical id; the key of a body that cannot be decoded is shown as `hash`."""
    rows = await env.sql("SELECT key, state, attempts FROM failures")
    return {row["key"] if "-" in row["key"] else "hash": (row["state"], row["attempts"]) for row in rows}


async def succeeded(env: ParkingLotEnv, event: AnyEvent) -> bool:
    return (await recorded_failures(env))[str(event.logicalid)][0] == "succeeded"


async def test_a_message_known_by_its_hash_is_recorded_as_replayed(env: ParkingLotEnv) -> None:
    """The consumer could not decode the body and recorded the failure under its hash. The body has a logical id too."""
    async with env.consumer({}):
        await env.send(*(body.replace(b'"order.confirmed"', b'"order.unknown"') for body in events(1)))
        await eventually(lambda: env.has_depth("probe.dlq", 1))
    assert (await env.warren("dlq", "replay", "--queue", "probe")).code == 0
    assert await recorded_failures(env) == {"hash": ("replayed", 1)}


# Killed at the worst moment: the queue has confirmed the second window, and the parking lot still holds its messages.
KILLED_REPLAY = """
import os, signal
from warren_messaging.dead_letters.parking_lot import ParkingLot
windows = []
remove = ParkingLot.remove
async def kill_in_second_window(self, messages):
    windows.append(messages)
    if len(windows) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    await remove(self, messages)
ParkingLot.remove = kill_in_second_window
from warren.entry import warren
warren()
"""


async def test_each_event_of_a_killed_and_repeated_replay_is_processed_once(env: ParkingLotEnv) -> None:
    bodies = events(1600)
    await env.park(*bodies)
    async with env.process("-c", KILLED_REPLAY, "dlq", "replay", "--queue", "probe") as process:
        assert await process.wait() == -signal.SIGKILL
    await eventually(lambda: env.has_depth("probe.dlq", 1600 - FIRST_WINDOW))
    left = f"{1600 - FIRST_WINDOW:,}"
    assert await env.depth("probe.queue") == FIRST_WINDOW * (1 + GROWTH)
    result = await env.warren("dlq", "replay", "--queue", "probe")
    assert (result.code, result.out) == (0, f"replayed {left} of {left} examined\n")
    assert await env.depth("probe.dlq") == 0
    delivered = Counter(await env.bodies("probe.queue"))
    assert set(delivered) == set(bodies)
    assert delivered.total() == 1600 + FIRST_WINDOW * GROWTH
    await env.sql("CREATE TABLE processed (id uuid)")

    async def record(event: Event[OrderConfirmed], uow: Transaction) -> Iterable[EventData]:
        await uow.connection.execute("INSERT INTO processed VALUES ($1)", event.logicalid)
        return []

    await env.park(*delivered.elements(), lot="probe.queue", exchange="redrive.exchange")
    async with env.consumer({OrderConfirmed: record}):
        await eventually(
            lambda: len(env.telemetry.repeated_events) + len(env.telemetry.processed_events) >= delivered.total()
        )
    row = (await env.sql("SELECT count(*), count(DISTINCT id) FROM processed"))[0]
    assert tuple(row) == (1600, 1600)


@pytest.mark.parametrize("replayed", [1, 700])
async def test_a_replay_killed_at_any_moment_loses_no_message(env: ParkingLotEnv, replayed: int) -> None:
    bodies = events(3000)
    await env.park(*bodies)
    async with env.process("-m", "warren", "dlq", "replay", "--queue", "probe"):
        await eventually(lambda: env.has_depth_of_at_least("probe.queue", replayed))
    await asyncio.sleep(0.3)
    assert set(await env.bodies("probe.queue")) | set(await env.bodies("probe.dlq")) == set(bodies)


@pytest.mark.parametrize("choice", ["all", "all but the first"])
async def test_no_replayed_message_remains_in_the_parking_lot(env: ParkingLotEnv, choice: str) -> None:
    """The broker buffers acknowledgements that arrive in quick succession, and drops them if the channel closes."""
    bodies = [f"{number}".encode() for number in range(3000)]
    await env.park(*bodies)

    async def select(window: list[ParkedMessage]) -> list[ParkedMessage]:
        return [message for message in window if choice == "all" or message.body != b"0"]

    async with parking_lot(env.dlq, "probe.dlq") as lot:
        summary = await actions.replay(env.dlq, lot, select, window=3000)
    not_selected = [] if choice == "all" else bodies[:1]
    assert (summary.replayed, summary.left) == (3000 - len(not_selected), 0)
    await asyncio.sleep(0.3)
    assert await env.bodies("probe.dlq") == not_selected
    assert sorted(await env.bodies("probe.queue")) == sorted(set(bodies) - set(not_selected))


async def test_a_message_with_a_forged_sender_stays_parked(env: ParkingLotEnv) -> None:
    admin = env.servers.broker.endpoints.admin_username
    await env.park(*events(1), user_id=admin)
    result = await env.warren("dlq", "replay", "--queue", "probe")
    assert result.code == 1
    assert f"sent by user '{admin}' in the name of '/warren/order': a replay would hide that" in result.err
    assert await env.depth("probe.dlq") == 1


async def test_an_unrouted_event_goes_to_the_named_queues(env: ParkingLotEnv) -> None:
    bodies = events(3)
    await env.send(*bodies, queue="unrouted.queue")
    assert (await env.warren("dlq", "replay", "--queue", "unrouted")).code == 1
    result = await env.warren("dlq", "replay", "--to", "probe.queue", "--to", "nowhere.queue")
    assert result.code == 1
    assert "3 stay parked: no queue accepts it: is nowhere.queue bound to redrive.exchange?" in result.err
    assert await env.depth("unrouted.queue") == 3
    await env.drain("probe.queue")
    result = await env.warren("dlq", "replay", "--to", "probe.queue", "--to", "other.queue")
    assert result.code == 0
    assert await env.bodies("probe.queue") == await env.bodies("other.queue") == bodies
    assert await env.depth("unrouted.queue") == 0


async def test_only_unrouted_events_may_go_to_named_queues(env: ParkingLotEnv) -> None:
    await env.park(*events(1))
    result = await env.warren("dlq", "replay", "--queue", "probe", "--to", "other.queue")
    assert (result.code, await env.depth("probe.dlq")) == (1, 1)
    assert "--to is for --queue unrouted" in result.err


async def test_a_dry_run_shows_messages_and_replays_none(env: ParkingLotEnv) -> None:
    await env.park(*events(2))
    result = await env.warren("dlq", "replay", "--queue", "probe", "--dry-run")
    assert "probe.dlq  2 messages" in result.out
    assert (await env.depth("probe.dlq"), await env.depth("probe.queue")) == (2, 0)
    assert (await env.warren("dlq", "replay")).code == 1


async def test_without_the_redrive_exchange_every_message_stays_parked(env: ParkingLotEnv) -> None:
    await env.park(*events(2))
    async with env.channel() as channel:
        await channel.exchange_delete("redrive.exchange")
    result = await env.warren("dlq", "replay", "--queue", "probe")
    assert result.code == 1
    assert "no exchange 'redrive.exchange'" in result.err
    await eventually(lambda: env.has_depth("probe.dlq", 2))
