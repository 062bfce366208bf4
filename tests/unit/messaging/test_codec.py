"""Decoding and encoding of events. tests/contracts checks the wire format."""

import contextlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.contracts import CATALOGUE
from services.shared.contracts.orders import OrderConfirmed
from warren_messaging import MAX_BODY, Codec, MalformedEvent, PermanentError, encode, new_id
from warren_messaging.codec import OpaqueEvent
from warren_messaging.testing import event_of, with_new_ids

EVENT = event_of(OrderConfirmed(customer="gayal"), reference="123")
BODY = encode(EVENT)
strict, tolerant = Codec(CATALOGUE), Codec({}, tolerant=True)


def test_an_encoded_event_is_decoded_unchanged() -> None:
    assert strict.decode(BODY) == EVENT


def test_unset_optional_attributes_are_not_written() -> None:
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
def test_an_invalid_body_is_refused_with_the_reason(body: bytes, reason: str) -> None:
    with pytest.raises(MalformedEvent) as refused:
        strict.decode(body)
    assert str(refused.value).startswith(reason)
    assert isinstance(refused.value, PermanentError)


@pytest.mark.parametrize("member", ["data", "strange", "subject", "customer"])
def test_invalid_utf8_is_refused_in_unused_members_too(member: str) -> None:
    whole = json.loads(BODY) | {"strange": {"attribute": "x"}}
    (whole["data"] if member == "customer" else whole)[member] = "ad$x"
    body = json.dumps(whole).encode().replace(b"$", b"\xff")
    for codec in (strict, tolerant):
        with pytest.raises(MalformedEvent, match=f"not JSON: byte 0xff at {body.index(0xFF)} is not UTF-8"):
            codec.decode(body)


@pytest.mark.parametrize("ascii_", [True, False])
@pytest.mark.parametrize("control", ["\0", "\x08", "\x0b", "\x0c", "\x1b", "\x7f", "\x80", "\x9f"])
def test_control_characters_are_refused_anywhere(control: str, ascii_: bool) -> None:
    text = f"a\\{control}b"
    for wrong in ({"type": text}, {"reference": text}, {"data": {"customer": text}}, {"strange": [text]}, {text: 1}):
        for codec in (strict, tolerant):
            with pytest.raises(MalformedEvent, match="not plain text: a control character at"):
                codec.decode(json.dumps(json.loads(BODY) | wrong, ensure_ascii=ascii_).encode())


@pytest.mark.parametrize("text", ["\t\n\r", "\\u0000", "\\\\b", "°\xa0é€\U0001f600", '"\\/"', "\u2028"])
@pytest.mark.parametrize("ascii_", [True, False])
def test_other_text_is_decoded_unchanged(text: str, ascii_: bool) -> None:
    body = json.dumps(json.loads(BODY) | {"data": {"customer": text}}, ensure_ascii=ascii_).encode()
    assert strict.decode(body).data == OrderConfirmed(customer=text)


@given(st.text(st.characters(max_codepoint=0x100)))
def test_text_is_refused_exactly_if_it_has_a_control_character(text: str) -> None:
    body = msgspec.json.encode(msgspec.structs.replace(EVENT, data=OrderConfirmed(customer=f"a{text}")))
    controls = {*map(chr, range(32)), *map(chr, range(127, 160))} - set("\t\n\r")
    refused = "" if controls.isdisjoint(text) else "not plain text"
    try:
        strict.decode(body)
    except MalformedEvent as error:
        assert str(error).startswith(refused or "data of")
    else:
        assert not refused


def test_a_name_has_at_most_255_characters() -> None:
    for wrong in ({"type": "x" * 256}, {"source": ""}, {"reference": "x" * 256}, {"data": {"customer": ""}}):
        with pytest.raises(MalformedEvent, match="of length"):
            strict.decode(json.dumps(json.loads(BODY) | wrong).encode())


@pytest.mark.parametrize("half", ["\\ud800", "\\udc00", "\\ud800\\ud800"])
def test_half_a_surrogate_pair_is_refused(half: str) -> None:
    for text in ("123", "gayal"):
        with pytest.raises(MalformedEvent):
            strict.decode(BODY.replace(f'"{text}"'.encode(), f'"{half}and more"'.encode()))


@given(st.binary(max_size=200) | st.integers(0, len(BODY)).map(lambda cut: BODY[:cut] + b"\x00" + BODY[cut:]))
def test_any_bytes_are_decoded_or_refused_as_malformed(body: bytes) -> None:
    for codec in (strict, tolerant):
        with contextlib.suppress(MalformedEvent):
            codec.decode(body)


def test_a_tolerant_codec_leaves_data_of_unknown_types_encoded() -> None:
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


def test_again_makes_another_event_with_equal_data() -> None:
    other = with_new_ids(EVENT)
    assert (other.id != EVENT.id, other.logicalid != EVENT.logicalid, other.data) == (True, True, EVENT.data)
