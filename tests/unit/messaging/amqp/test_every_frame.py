"""The frame reader takes deliveries out of a stream and passes on every other frame that pamqp can read, unchanged."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pamqp.frame
from hypothesis import given, settings
from hypothesis import strategies as st
from pamqp import commands
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

from tests.unit.messaging.amqp.fake_broker import MAX_FRAME, content
from warren_messaging.amqp.frames import FrameReader
from warren_messaging.amqp.properties import RawProperties
from warren_messaging.amqp.received import Received, Subscription

NUMBERS = {"octet": 8, "short": 15, "long": 31, "longlong": 63}
TEXTS = st.text(alphabet="abcdefghij.-_", max_size=20)
TABLES = st.dictionaries(TEXTS, st.one_of(TEXTS, st.booleans(), st.integers(0, 2**31 - 1)), max_size=3)
FIXED = {
    "ticket": 0, "channel_id": "0", "known_hosts": "", "capabilities": "", "cluster_id": "", "out_of_band": "0",
    "insist": False,
}  # fmt: skip
"""Arguments that have one possible value."""


def values_of(kind: str) -> st.SearchStrategy[Any]:
    if kind in NUMBERS:
        return st.integers(0, 2 ** NUMBERS[kind] - 1)
    return {"bit": st.booleans(), "shortstr": TEXTS, "longstr": TEXTS, "table": TABLES}[kind]


def frames_of(method: Any, channel: int) -> st.SearchStrategy[bytes]:
    """Frames of one method, with content where AMQP has it."""
    arguments = {
        name: st.just(FIXED[name]) if name in FIXED else values_of(method.amqp_type(name))
        for name in method.attributes()
    }
    if method is commands.Basic.RecoverAsync:  # deprecated: pamqp makes none without a warning
        return frames_of(commands.Basic.Recover, channel).map(lambda each: each.replace(b"\x3c\0\x6e", b"\x3c\0\x64"))
    frame = st.builds(method, **arguments)
    if method in {commands.Basic.Publish, commands.Basic.Return, commands.Basic.GetOk}:
        bodies = st.lists(st.binary(min_size=1, max_size=90), max_size=2)
        return st.builds(lambda each, body: content(channel, each, RawProperties(), body), frame, bodies)
    return frame.map(lambda each: pamqp.frame.marshal(each, channel))


METHODS = [method for method in commands.INDEX_MAPPING.values() if method is not commands.Basic.Deliver]
methods = st.sampled_from(METHODS)
other = st.tuples(methods, st.sampled_from([0, 2])).flatmap(lambda each: frames_of(*each)) | st.just(
    pamqp.frame.marshal(Heartbeat(), 0)
)
delivery = st.builds(
    lambda tag, body: content(1, commands.Basic.Deliver("one", tag, False, "e", "k"), RawProperties(), body),
    st.integers(1, 2**40),
    st.lists(st.binary(min_size=1, max_size=90), max_size=3),
)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.one_of(other, other, delivery), max_size=12), st.lists(st.integers(1, 300), max_size=20))
def test_every_other_frame_reaches_the_driver_unchanged(sent: list[bytes], pieces: list[int]) -> None:
    assert asyncio.run(split(b"".join(sent), pieces)) == (
        b"".join(frame for frame in sent if not is_delivery(frame)),
        [tag_of(frame) for frame in sent if is_delivery(frame)],
    )


@settings(deadline=None, max_examples=300)
@given(
    st.one_of([frames_of(method, 2) for method in METHODS]), st.integers(0, 10**6), st.binary(min_size=1, max_size=1)
)
def test_a_frame_with_one_wrong_byte_is_passed_on_or_ends_the_connection(sent: bytes, place: int, byte: bytes) -> None:
    """Whatever pamqp makes of it: the reader never raises, hangs or invents a delivery."""
    place %= len(sent)
    wrong = sent[:place] + byte + sent[place + 1 :]
    passed_on, tags = asyncio.run(split(wrong, []))
    assert wrong.startswith(passed_on)
    assert tags == []


def test_every_method_of_amqp_is_generated() -> None:
    assert len(METHODS) + 1 == len(commands.INDEX_MAPPING) > 60
    assert ContentHeader.name and Heartbeat.name


async def split(stream: bytes, pieces: list[int]) -> tuple[bytes, list[int]]:
    """Return the bytes that the driver sees, and the tags of the deliveries that a subscription receives."""
    tags: list[int] = []

    def receive(message: Received) -> None:
        tags.append(message.tag)

    channels = {
        1: SimpleNamespace(consumers={"one": Subscription(receive)}, confirmations={}),
        2: SimpleNamespace(consumers={}, confirmations={}),
    }
    connection: Any = SimpleNamespace(channels=channels, connection_tune=SimpleNamespace(frame_max=MAX_FRAME))
    reader = FrameReader(connection, asyncio.get_running_loop())
    for size in pieces:
        reader.feed_data(stream[:size])
        stream = stream[size:]
    reader.feed_data(stream)
    if reader.exception() is not None:
        return b"", tags
    return bytes(reader._buffer), tags  # type: ignore[attr-defined]


def is_delivery(frame: bytes) -> bool:
    return frame[7:11] == b"\0\x3c\0\x3c"


def tag_of(frame: bytes) -> int:
    return int(pamqp.frame.unmarshal(frame)[2].delivery_tag)
