"""Bytes in, events or reasons out. The wire format itself is held by tests/contracts."""

import contextlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.contracts import CATALOGUE
from services.shared.contracts.orders import OrderConfirmed
from services.shared.messaging import MAX_BODY, Codec, MalformedEvent, PermanentError, encode, new_id
from services.shared.messaging.codec import OpaqueEvent
from services.shared.messaging.testing import again, event_of

EVENT = event_of(OrderConfirmed(customer="gayal"), reference="123")
BODY = encode(EVENT)
strict, tolerant = Codec(CATALOGUE), Codec({}, tolerant=True)


def test_what_is_encoded_is_decoded() -> None:
    assert strict.decode(BODY) == EVENT


def test_optional_attributes_that_are_not_set_are_not_written() -> None:
    assert not {"causationid", "traceparent", "priority"} & json.loads(BODY).keys()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON: byte 0xff at 0 is not UTF-8"),
        (b"[]", "not a CloudEvent: Expected `object`"),
        (b"{}", "not a CloudEvent: Object missing required field `specversion`"),
        (BODY.replace(b'"1.0"', b'"2.0"'), "CloudEvents version '2.0' is not 1.0"),
        (
            BODY.replace(b'"sourcesequence":1', b'"sourcesequence":-1'),
            "not a CloudEvent: Expected `int` >= 1 - at `$.sourcesequence`",
        ),
        (BODY.replace(b"order.confirmed", b"order.lost"), "event type 'order.lost' is not known here"),
        (BODY.replace(b'"customer"', b'"client"'), "data of order.confirmed: Object missing required field `customer`"),
        (b" " * (MAX_BODY + 1), f"body of {MAX_BODY + 1} bytes is over the limit of {MAX_BODY}"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason_that_names_the_part(body: bytes, reason: str) -> None:
    with pytest.raises(MalformedEvent) as refused:
        strict.decode(body)
    assert str(refused.value).startswith(reason)
    assert isinstance(refused.value, PermanentError)


@pytest.mark.parametrize("place", ["data", "strange", "subject", "customer"])
def test_text_that_no_part_of_the_envelope_uses_is_checked_too(place: str) -> None:
    whole = json.loads(BODY) | {"strange": {"attribute": "x"}}
    (whole["data"] if place == "customer" else whole)[place] = "ad$x"
    body = json.dumps(whole).encode().replace(b"$", b"\xff")
    for codec in (strict, tolerant):
        with pytest.raises(MalformedEvent, match=f"not JSON: byte 0xff at {body.index(0xFF)} is not UTF-8"):
            codec.decode(body)


@pytest.mark.parametrize("text", ["a\0", "a\n", "a\x1b[2J", "a\x85", "a\u2028", "a\u202eb", "x" * 256])
def test_attributes_and_names_take_one_line_of_plain_text(text: str) -> None:
    for wrong in ({"type": text}, {"source": text}, {"reference": text}, {"data": {"customer": text}}):
        with pytest.raises(MalformedEvent, match=r"Expected `str` (matching regex|of length)"):
            strict.decode(json.dumps(json.loads(BODY) | wrong).encode())


@pytest.mark.parametrize("half", ["\\ud800", "\\udc00", "\\ud800\\ud800"])
def test_half_a_character_is_refused(half: str) -> None:
    for text in ("123", "gayal"):
        with pytest.raises(MalformedEvent):
            strict.decode(BODY.replace(f'"{text}"'.encode(), f'"{half}and more"'.encode()))


@given(st.binary(max_size=200) | st.integers(0, len(BODY)).map(lambda cut: BODY[:cut] + b"\x00" + BODY[cut:]))
def test_whatever_the_bytes_are_they_are_read_or_refused(body: bytes) -> None:
    for codec in (strict, tolerant):
        with contextlib.suppress(MalformedEvent):
            codec.decode(body)


def test_who_takes_everything_gets_data_as_it_came() -> None:
    body = BODY.replace(b"order.confirmed", b"order.teleported")
    body = body.replace(b"}}", b'},"body":"strange","other":[1,  2]}')
    event = tolerant.decode(body)
    assert isinstance(event, OpaqueEvent)
    assert event.type == "order.teleported"
    assert event.data == msgspec.Raw(b'{"customer":"gayal"}')
    assert event.body == body


def test_ids_are_unique_and_grow_with_time() -> None:
    ids = [new_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert {identity.version for identity in ids} == {7}
    assert [identity.int >> 80 for identity in ids] == sorted(identity.int >> 80 for identity in ids)


def test_the_same_words_said_anew_are_another_event() -> None:
    other = again(EVENT)
    assert (other.id != EVENT.id, other.logicalid != EVENT.logicalid, other.data) == (True, True, EVENT.data)
