"""Guarantees 1, 3, 4 and 7, over a real queue and a real database."""

import asyncio
from collections.abc import Iterable
from itertools import pairwise

import msgspec
import pytest

from services.shared.contracts import Event, EventData
from services.shared.contracts.orders import OrderCompleted, OrderConfirmed, OrderPaid
from services.shared.messaging import codec
from services.shared.messaging.errors import PermanentError, TopologyMissing, TransientError
from services.shared.messaging.handlers import Effect
from services.shared.messaging.transaction import Transaction
from tests.stage import ARGUMENTS, Stage, event_of, eventually

CONFIRMED = OrderConfirmed(customer="gayal")


@pytest.fixture(autouse=True)
async def _seen_table(stage: Stage) -> None:
    await stage.sql("CREATE TABLE seen (id uuid, type text)")


async def note(event: Event[EventData], work: Transaction) -> Iterable[EventData]:
    await work.connection.execute("INSERT INTO seen VALUES ($1, $2)", event.logicalid, event.type)
    return []


async def seen(stage: Stage) -> list[str]:
    return [str(row["id"]) for row in await stage.sql("SELECT id FROM seen")]


async def is_seen(stage: Stage, count: int) -> bool:
    return len(await seen(stage)) >= count


async def idle(stage: Stage) -> bool:
    async with stage.api() as api:
        queue = (await api.get(f"queues/{stage.vhost}/probe.queue")).json()
        return queue.get("messages", 1) == 0


async def test_a_repeated_event_has_one_effect(stage: Stage) -> None:
    body = codec.encode(event_of(CONFIRMED))
    await stage.send(*[body] * 5)
    async with stage.consumer({OrderConfirmed: note}):
        await eventually(lambda: is_seen(stage, 1))
        await stage.send(*[body] * 3)
        await eventually(lambda: len(stage.record.repeated_) >= 7)
    assert len(await seen(stage)) == 1
    assert await stage.depth("probe.queue") == 0


async def test_handlers_announce_what_follows_in_the_same_transaction(stage: Stage) -> None:
    async def on_confirmed(event: Event[OrderConfirmed], work: Transaction) -> list[EventData]:
        await note(event, work)
        return [OrderPaid(customer="gayal", total_cents=1, currency="EUR")]

    cause = event_of(CONFIRMED, reference="123", traceparent="00-1-2-01")
    await stage.send(codec.encode(cause))
    async with stage.consumer({OrderConfirmed: on_confirmed, OrderPaid: note}):
        await eventually(lambda: is_seen(stage, 2))
    assert stage.record.processed_[0] == ("order.confirmed", ["order.paid"])
    assert stage.record.repeated_ == []


POISON = {
    "not JSON": b"\x00\xff{",
    "not an event": b'{"hello": "world"}',
    "not CloudEvents 1.0": codec.encode(event_of(CONFIRMED, specversion="0.3")),
    "a type nobody knows": codec.encode(event_of(CONFIRMED, type="order.teleported")),
    "bad data": codec.encode(event_of(CONFIRMED)).replace(b'"gayal"', b"7"),
    "too large": b'"' + b"x" * (codec.MAX_BODY + 1) + b'"',
    "nested deeply": b'{"data":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "a type without a handler": codec.encode(event_of(OrderCompleted(customer="x"))),
}


async def test_each_kind_of_poison_is_parked_at_once_and_stops_nobody(stage: Stage) -> None:
    bodies = []
    for poison in POISON.values():
        bodies += [codec.encode(event_of(CONFIRMED)), poison]
    await stage.send(*bodies, codec.encode(event_of(CONFIRMED)))
    async with stage.consumer({OrderConfirmed: note}):
        await eventually(lambda: is_seen(stage, len(POISON) + 1))
        await eventually(lambda: parked(stage, len(POISON)))
    assert {bytes(message.body) for message in await stage.drain("probe.dlq")} == set(POISON.values())
    reasons = [row["reason"] for row in await stage.sql("SELECT reason FROM failures WHERE state = 'parked'")]
    assert len(reasons) == len(POISON)
    assert all(attempts == 1 and is_parked for _, attempts, is_parked in stage.record.failed_)


async def parked(stage: Stage, count: int) -> bool:
    return await stage.depth("probe.dlq") == count


async def test_a_transient_failure_is_retried_later_and_then_succeeds(stage: Stage) -> None:
    times: list[float] = []

    async def flaky(event: Event[OrderConfirmed], work: Transaction) -> Iterable[EventData]:
        times.append(asyncio.get_running_loop().time())
        if len(times) < 4:
            raise TransientError("the moon is in the way")
        return await note(event, work)

    await stage.send(codec.encode(event_of(CONFIRMED)))
    async with stage.consumer({OrderConfirmed: flaky}, attempts=6):
        await eventually(lambda: is_seen(stage, 1))
        await eventually(lambda: recovered(stage))
    waits = [later - earlier for earlier, later in pairwise(times)]
    assert len(waits) == 3
    assert waits[0] >= 0.09
    assert waits == sorted(waits), f"waits should grow: {waits}"
    assert await stage.depth("probe.dlq") == 0


async def recovered(stage: Stage) -> bool:
    return [row["state"] for row in await stage.sql("SELECT state FROM failures")] == ["succeeded"]


async def test_a_failure_that_lasts_is_parked_with_its_reason_after_the_configured_attempts(stage: Stage) -> None:
    async def never(event: Event[OrderConfirmed], work: Transaction) -> Iterable[EventData]:
        if event.reference == "bad":
            raise RuntimeError("no such luck")
        return await note(event, work)

    good = [codec.encode(event_of(CONFIRMED)) for _ in range(10)]
    await stage.send(*good[:5], codec.encode(event_of(CONFIRMED, reference="bad")), *good[5:])
    async with stage.consumer({OrderConfirmed: never}, attempts=3):
        await eventually(lambda: is_seen(stage, 10))
        await eventually(lambda: parked(stage, 1))
    row = (await stage.sql("SELECT attempts, reason, state FROM failures"))[0]
    assert (row["attempts"], row["reason"], row["state"]) == (3, "RuntimeError: no such luck", "parked")


async def test_an_event_in_anothers_name_is_parked(stage: Stage) -> None:
    admin = stage.servers.broker.address.admin_username
    await stage.send(codec.encode(event_of(CONFIRMED, source="/warren/order")), user_id=admin)
    async with stage.consumer({OrderConfirmed: note}):
        await eventually(lambda: parked(stage, 1))
    assert "in the name of '/warren/order'" in stage.record.failed_[0][0]


async def test_a_batch_shares_one_transaction(stage: Stage) -> None:
    sizes: list[int] = []

    class Counted(Transaction):
        async def load(self, events: object) -> None:
            sizes.append(len(list(events)))  # type: ignore[call-overload]

    await stage.send(*(codec.encode(event_of(CONFIRMED)) for _ in range(300)))
    async with stage.consumer({OrderConfirmed: note}, transaction=Counted):
        await eventually(lambda: is_seen(stage, 300))
    assert sum(sizes) == 300
    assert max(sizes) == 100


async def test_stopping_finishes_what_is_under_way_and_returns_the_rest_unharmed(stage: Stage) -> None:
    started = asyncio.Event()

    async def slow(event: Event[OrderConfirmed], work: Transaction) -> Iterable[EventData]:
        started.set()
        await asyncio.sleep(0.01)
        return await note(event, work)

    await stage.send(*(codec.encode(event_of(CONFIRMED)) for _ in range(250)))
    async with stage.consumer({OrderConfirmed: slow}, prefetch=250):
        await started.wait()
    done = len(await seen(stage))
    assert 0 < done < 250
    returned = await stage.drain("probe.queue")
    assert len(returned) == 250 - done
    assert not [message for message in returned if "x-delivery-count" in (message.header.properties.headers or {})]
    assert await stage.depth("probe.dlq") == 0
    await stage.send(*(message.body for message in returned))
    async with stage.consumer({OrderConfirmed: note}):
        await eventually(lambda: is_seen(stage, 250))
    assert len(set(await seen(stage))) == 250


async def test_a_lost_connection_is_replaced_and_nothing_is_lost_or_doubled(stage: Stage) -> None:
    async with stage.consumer({OrderConfirmed: note}) as consumer:
        for _ in range(3):
            await stage.send(*(codec.encode(event_of(CONFIRMED)) for _ in range(50)))
            await close_connections(stage)
            await eventually(lambda: not consumer.consuming)
            await eventually(lambda: consumer.consuming)
        await eventually(lambda: is_seen(stage, 150))
        await eventually(lambda: idle(stage))
    assert len(set(await seen(stage))) == len(await seen(stage)) == 150


async def close_connections(stage: Stage) -> None:
    async with stage.api() as api:

        async def ours() -> bool:
            return bool(connections(await listing()))

        async def listing() -> list[dict[str, str]]:
            return list((await api.get("connections")).json())

        def connections(found: list[dict[str, str]]) -> list[str]:
            return [each["name"] for each in found if each.get("vhost") == stage.vhost and each["user"] == "probe"]

        await eventually(ours)
        for name in connections(await listing()):
            await api.delete(f"connections/{name}", headers={"X-Reason": "test"})


async def test_a_subscription_that_the_broker_ends_is_taken_up_again(stage: Stage) -> None:
    async with stage.consumer({OrderConfirmed: note}) as consumer:
        async with stage.channel() as channel:
            await channel.queue_delete("probe.queue")
            await eventually(lambda: not consumer.consuming)
            await channel.queue_declare("probe.queue", durable=True, arguments=ARGUMENTS)
        await eventually(lambda: consumer.consuming)
        await stage.send(codec.encode(event_of(CONFIRMED)))
        await eventually(lambda: is_seen(stage, 1))


async def test_a_missing_queue_is_said_at_once(stage: Stage) -> None:
    await stage.add_user("probe", write="^$", read=".*")
    with pytest.raises(TopologyMissing, match=r"no queue 'nowhere.queue'.*apply"):
        async with stage.consumer({OrderConfirmed: note}, queue="nowhere.queue"):
            pass


class Call(msgspec.Struct):
    """A stand-in for the outside world, which remembers every call."""

    calls: list[str] = []
    fail: int = 0

    def effect(self) -> Effect[Transaction, str, str]:
        async def prepare(event: Event[OrderPaid], work: Transaction) -> str | None:
            return None if event.reference == "skip" else str(event.logicalid)

        async def perform(key: str) -> str:
            self.calls.append(key)
            if self.calls.count(key) <= self.fail:
                raise TransientError("gateway is busy")
            if self.fail == 99:
                raise PermanentError("gateway says no")
            return f"receipt {key}"

        async def settle(event: Event[OrderPaid], intent: str, result: str, work: Transaction) -> Iterable[EventData]:
            assert result == f"receipt {intent}"
            await note(event, work)
            return [OrderCompleted(customer="x")]

        return Effect(prepare, perform, settle)


PAID = OrderPaid(customer="gayal", total_cents=1, currency="EUR")


async def test_an_effect_is_made_once_for_each_event_and_its_result_is_announced(stage: Stage) -> None:
    call = Call(calls=[])
    events = [event_of(PAID) for _ in range(30)]
    skipped = event_of(PAID, reference="skip")
    await stage.send(*(codec.encode(event) for event in [*events, skipped, *events[:5]]))
    async with stage.consumer({OrderPaid: call.effect(), OrderCompleted: note}):
        await eventually(lambda: is_seen(stage, 60))
        await stage.send(*(codec.encode(event) for event in [*events, skipped]))
        await eventually(lambda: len(stage.record.repeated_) >= 31)
        await eventually(lambda: idle(stage))
    keys = {str(event.logicalid) for event in events}
    assert set(call.calls) == keys
    assert len(await seen(stage)) == 60


async def test_an_effect_is_retried_by_the_queue(stage: Stage) -> None:
    call = Call(calls=[], fail=2)
    await stage.send(codec.encode(event_of(PAID)))
    async with stage.consumer({OrderPaid: call.effect(), OrderCompleted: note}, attempts=5):
        await eventually(lambda: is_seen(stage, 2))
    assert len(call.calls) == 3


async def test_while_the_database_is_away_nothing_is_blamed_or_lost(stage: Stage) -> None:
    async with stage.consumer({OrderConfirmed: note}) as consumer:
        await stage.send(*(codec.encode(event_of(CONFIRMED)) for _ in range(20)))
        await eventually(lambda: is_seen(stage, 20))
        await asyncio.to_thread(stage.servers.postgres.restart, kill=True)
        await stage.send(*(codec.encode(event_of(CONFIRMED)) for _ in range(20)))
        await eventually(lambda: consumer.consuming, seconds=30)
        await eventually(lambda: is_seen(stage, 40), seconds=30)
    assert stage.record.failed_ == []
    assert len(set(await seen(stage))) == 40
