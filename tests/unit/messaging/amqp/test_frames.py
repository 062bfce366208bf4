"""The library's frame reader has the same effect as the driver's, for any frames in pieces of any size."""

import asyncio
from hashlib import sha256
from importlib.metadata import version
from typing import Any

import pytest
from aiormq import spec
from aiormq.channel import Channel
from aiormq.exceptions import InvalidFrameError
from hypothesis import given, settings
from hypothesis import strategies as st
from pamqp.frame import marshal

from tests.undecodable import UNDECODABLE
from tests.unit.messaging.amqp.fake_broker import HEARTBEAT, MAX_FRAME, FakeBroker, connect, content, frame
from warren_messaging.amqp import frames
from warren_messaging.amqp.pipeline import PublishFrame, PublishResult, send
from warren_messaging.amqp.properties import RawProperties
from warren_messaging.amqp.received import Received, consume

PUBLISHES = 8
CANCEL = marshal(spec.Basic.Cancel(consumer_tag="two", nowait=True), 1)

properties = st.builds(
    spec.Basic.Properties,
    message_id=st.none() | st.text(min_size=1, max_size=30),
    headers=st.none() | st.dictionaries(st.text(max_size=9), st.text(max_size=9) | st.integers(0, 9), max_size=3),
    user_id=st.none() | st.text(min_size=1, max_size=9),
    priority=st.none() | st.integers(0, 9),
    delivery_mode=st.none() | st.just(2),
)
parts = st.lists(st.binary(min_size=1, max_size=90) | st.just(b"x" * (MAX_FRAME - 8)), max_size=3)
delivery = st.builds(
    lambda tag, redelivered, consumer, key, props, body: content(
        1, spec.Basic.Deliver(consumer, tag, redelivered, "an.exchange", key), RawProperties.of(props), body
    ),
    st.integers(1, 2**40), st.booleans(), st.sampled_from(["one", "two", "drivers", "unknown"]), st.text(max_size=20),
    properties, parts,
)  # fmt: skip
answer = st.tuples(st.sampled_from([spec.Basic.Ack, spec.Basic.Nack, spec.Basic.Return]), st.integers(0, 99),
                   st.booleans(), parts)  # fmt: skip
other = st.sampled_from([
    HEARTBEAT,
    marshal(spec.Connection.Blocked(reason="memory"), 0),
    marshal(spec.Connection.Unblocked(), 0),
    CANCEL,
    content(9, spec.Basic.Deliver("one", 1, False, "", "k"), RawProperties(), [b"to a channel that has ended"]),
    marshal(spec.Basic.Ack(delivery_tag=1), 9),
])  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(st.lists(delivery | answer | other, max_size=12), st.lists(st.integers(1, 400), max_size=20))
def test_any_frames_have_the_effect_that_they_have_in_the_driver(steps: list[Any], pieces: list[int]) -> None:
    sent = valid_stream(steps)
    assert asyncio.run(effect(sent, pieces)) == asyncio.run(effect(sent, [], library_reader=False))


def valid_stream(steps: list[Any]) -> list[bytes]:
    """Turn the steps into frames that a broker may send: each publish is confirmed once, and may be returned before."""
    waiting, returned, sent = list(range(1, PUBLISHES + 1)), set(), []
    for step in steps:
        if isinstance(step, bytes):
            if CANCEL not in sent or b"\x03two" not in step:  # no delivery follows the end of its subscription
                sent.append(step)
        elif waiting:
            kind, choice, multiple, body = step
            tag = waiting[choice % len(waiting)]
            if kind is not spec.Basic.Return:
                sent.append(marshal(kind(delivery_tag=tag, multiple=multiple), 2))
                waiting = [each for each in waiting if (each > tag if multiple else each != tag)]
            elif tag not in returned:
                returned.add(tag)
                properties = RawProperties.of(spec.Basic.Properties(message_id=f"m{tag}"))
                sent.append(content(2, spec.Basic.Return(312, "NO_ROUTE", "e", "k"), properties, body))
    return sent


async def effect(sent: list[bytes], pieces: list[int], *, library_reader: bool = True) -> list[Any]:
    events: list[Any] = []
    broker = FakeBroker(library_reader=library_reader)
    connection = await connect(broker)
    consuming: Any = await connection.channel(publisher_confirms=False)
    publishing: Any = await connection.channel()
    consuming.on_consumer_cancel_callbacks.add(lambda cancel: events.append(cancel.consumer_tag))
    for tag in ("one", "two"):
        await consume(consuming, "q", lambda message, tag=tag: events.append((tag, *fields_of(message))), tag=tag)  # type: ignore[misc]
    await consuming.basic_consume("q", lambda message: events.append(message.body), consumer_tag="drivers")
    batch = await send(
        publishing,
        [PublishFrame.of("e", "k", b"", spec.Basic.Properties(message_id=f"m{n + 1}")) for n in range(PUBLISHES)],
    )
    stream = b"".join(sent)
    for size in pieces:
        broker.reader.feed_data(stream[:size])
        stream = stream[size:]
        await asyncio.sleep(0)
    broker.reader.feed_data(stream)
    await run_driver()
    blocked = not connection._Connection__connection_unblocked.is_set()  # type: ignore[attr-defined]
    await connection.close()
    return [sorted(events, key=repr), batch._results, blocked]


def fields_of(message: Received) -> tuple[Any, ...]:
    decoded = message.properties.decode()
    properties = {name: getattr(decoded, name) for name in decoded.__slots__}
    return (message.tag, message.redelivered, message.exchange, message.routing_key, repr(properties), message.body)


async def run_driver() -> None:
    """Let the driver process its frames, which takes several turns of the event loop."""
    for _ in range(60):
        await asyncio.sleep(0)


async def received(
    sent: bytes, pieces: int = 10**6, limit: int | None = None
) -> tuple[list[Received], BaseException | None]:
    """Return what a subscription receives, and the error that ended the connection, if any."""
    found: list[Received] = []
    broker = FakeBroker()
    connection = await connect(broker)
    channel = await connection.channel(publisher_confirms=False)
    await consume(channel, "q", found.append, tag="one", limit=limit)
    for start in range(0, len(sent), pieces):
        broker.reader.feed_data(sent[start : start + pieces])
    await run_driver()
    ended = connection.closing.exception() if connection.is_closed else None
    await connection.close()
    return found, ended


DELIVER = spec.Basic.Deliver("one", 7, False, "e", "k")


@pytest.mark.parametrize("name", UNDECODABLE)
async def test_undecodable_properties_do_not_end_the_connection(name: str) -> None:
    sent = content(1, DELIVER, UNDECODABLE[name], [b"bad"]) + content(1, DELIVER, RawProperties(), [b"good"])
    found, ended = await received(sent, pieces=3)
    assert [message.body for message in found] == [b"bad", b"good"]
    assert found[0].properties.data == UNDECODABLE[name].data
    assert ended is None


LIMIT = MAX_FRAME + frames.NOTES
HEAD = content(1, DELIVER, RawProperties(), [])


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (frame(3, 1, b"x" * LIMIT), f"a frame of {LIMIT + 8} bytes is over the limit of {LIMIT}"),
        (b"\x03\x00\x01\xff\xff\xff\xff\x00", f"a frame of 4294967303 bytes is over the limit of {LIMIT}"),
        (HEAD[:-1] + b"\x00", "a frame of type 2 does not end where it should"),
        (frame(7, 1, b"x"), "a frame has the unknown type 7"),
        (frame(1, 1, b"\x00\x3c\x00\x3c\xff"), "a frame is shorter than its content"),
        (frame(1, 1, marshal(DELIVER, 1)[7:-2]), "a frame is shorter than its content"),
        (marshal(DELIVER, 1) + frame(2, 1, b"\x00\x3c"), "a frame is shorter than its content"),
        (marshal(DELIVER, 1) * 2, "a frame of type 1 in the middle of a message"),
        (marshal(DELIVER, 1) + frame(3, 1, b"x"), "a frame of type 3 in the middle of a message"),
        (
            marshal(DELIVER, 1) + frame(2, 1, b"\x00\x3c\x00\x00" + (2**40).to_bytes(8) + b"\x00\x00"),
            "a body of 1099511627776 bytes is over the limit of 536870912",
        ),
    ],
)  # fmt: skip
async def test_a_malformed_frame_ends_the_connection_with_a_reason(sent: bytes, reason: str) -> None:
    good = content(1, DELIVER, RawProperties(), [b"good"])
    found, ended = await received(good + sent + good, pieces=4096)
    assert [message.body for message in found] == [b"good"]
    assert isinstance(ended, InvalidFrameError)
    assert reason in str(ended)


async def test_of_a_body_over_the_limit_only_size_and_hash_are_kept() -> None:
    parts = [b"x" * 60, b"y" * 60]
    sent = content(1, DELIVER, RawProperties(), parts) + content(1, DELIVER, RawProperties(), [b"z" * 100])
    large, good = (await received(sent, pieces=50, limit=100))[0]
    assert (large.body, good.body, good.discarded) == (b"", b"z" * 100, None)
    assert large.discarded is not None
    assert (large.discarded.size, large.discarded.body_hash) == (120, sha256(b"".join(parts)).hexdigest())


async def test_an_endless_frame_takes_no_more_memory_than_one_frame() -> None:
    broker = FakeBroker()
    connection = await connect(broker)
    reader: Any = broker.reader
    for _ in range(3 * MAX_FRAME // 64):
        broker.reader.feed_data(b"\x03\x00\x01\x00\x00\x3f\xf0" + b"x" * 57)
        assert len(reader._rest) <= MAX_FRAME
    await run_driver()
    assert isinstance(connection.closing.exception(), InvalidFrameError)


async def test_a_connection_that_ends_twice_passes_on_its_incomplete_frame_once() -> None:
    broker = FakeBroker()
    await connect(broker)
    broker.reader.feed_data(b"\x01\x00")
    broker.reader.feed_eof()  # the peer ends its side
    broker.reader.feed_eof()  # the connection is lost
    await run_driver()
    assert broker.reader.at_eof()


async def results(sent: bytes, *frames: PublishFrame) -> list[PublishResult]:
    broker = FakeBroker()
    connection = await connect(broker)
    channel: Any = await connection.channel()
    batch = await send(channel, list(frames))
    broker.reader.feed_data(sent)
    await batch.finished
    assert not channel.confirmations or PublishResult.RETURNED in batch.results
    await connection.close()
    return batch.results


async def test_a_return_without_a_known_message_id_counts_for_all_unconfirmed_messages() -> None:
    sent = content(1, spec.Basic.Return(312, "NO_ROUTE", "e", "k"), RawProperties(), [b""])
    sent += marshal(spec.Basic.Ack(delivery_tag=3, multiple=True), 1)
    three = [PublishFrame.of("e", "k", b"", spec.Basic.Properties(message_id=f"m{n}")) for n in range(3)]
    first = marshal(spec.Basic.Ack(delivery_tag=1), 1)
    assert await results(first + sent, *three) == [
        PublishResult.CONFIRMED,
        PublishResult.RETURNED,
        PublishResult.RETURNED,
    ]
    assert await results(sent, PublishFrame.of("e", "k", b"", RawProperties())) == [PublishResult.RETURNED]


async def test_a_return_is_matched_by_a_message_id_that_is_not_utf8() -> None:
    latin = UNDECODABLE["message_id"]
    sent = content(1, spec.Basic.Return(312, "NO_ROUTE", "e", "k"), latin, [])
    sent += marshal(spec.Basic.Ack(delivery_tag=2, multiple=True), 1)
    two = [PublishFrame.of("e", "k", b"", spec.Basic.Properties(message_id="m")), PublishFrame.of("e", "k", b"", latin)]
    assert await results(sent, *two) == [PublishResult.CONFIRMED, PublishResult.RETURNED]


async def test_frames_that_the_driver_does_not_see_keep_the_connection_alive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frames, "ALIVE_SECONDS", -1.0)
    broker = FakeBroker()
    connection: Any = await connect(broker)
    channel = await connection.channel(publisher_confirms=False)
    await consume(channel, "q", lambda _: None, tag="one")
    connection._Connection__last_frame_time -= 1000
    assert connection.is_connection_was_stuck
    broker.reader.feed_data(content(1, DELIVER, RawProperties(), [b"good"]))
    await run_driver()
    assert not connection.is_connection_was_stuck
    await connection.close()


def test_the_driver_has_the_version_and_tables_that_the_reader_relies_on() -> None:
    assert version("aiormq").startswith("7.2."), (
        "aiormq has changed: compare its Connection.__reader and Channel._reader with frames.py as"
        " docs/decisions/0016-the-library-reads-its-own-deliveries.md says,"
        " run this file, tests/conformance and tests/faults, and raise the cap in"
        " pyproject.toml and here"
    )
    assert {"consumers", "confirmations", "message_id_delivery_tag", "delivery_tag", "lock", "write_queue"} <= {
        *vars(Channel), *Channel.__init__.__code__.co_names
    }  # fmt: skip
