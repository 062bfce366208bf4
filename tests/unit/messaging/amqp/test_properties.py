"""RawProperties decodes single fields on demand. Invalid bytes lead to UndecodableProperties and no other error."""

import contextlib
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from aiormq import spec
from hypothesis import given
from hypothesis import strategies as st
from pamqp.header import ContentHeader

from tests.undecodable import UNDECODABLE
from warren_messaging.amqp.properties import KINDS, RawProperties
from warren_messaging.errors import PermanentError, UndecodableProperties

FULL = spec.Basic.Properties(
    content_type="application/json",
    headers={
        "text": "green", "count": 3, "nothing": None, "time": datetime(2026, 2, 25, tzinfo=UTC), "yes": True,
        "part": 1.5, "money": Decimal("3.14"), "x-death": [{"queue": "a.queue", "count": 2}],
        "bytes": bytearray(b"\xff"),
    },
    delivery_mode=2,
    priority=5,
    message_id="m-1",
    timestamp=datetime(2026, 2, 25, tzinfo=UTC),
    message_type="order.created",
    user_id="order",
)  # fmt: skip

values = st.recursive(
    st.text(max_size=20) | st.booleans() | st.none() | st.integers(-(2**63), 2**63 - 1),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def decoded_by_the_driver(raw: RawProperties) -> spec.Basic.Properties:
    header = ContentHeader()
    header.unmarshal(b"\x00\x3c\x00\x00" + bytes(8) + raw.data)
    return header.properties


@given(
    st.dictionaries(st.text(max_size=20), values, max_size=5),
    st.text(min_size=1, max_size=60),
    st.none() | st.integers(0, 255),
)
def test_properties_written_by_the_driver_are_decoded_as_by_the_driver(
    headers: dict[str, Any], text: str, priority: int | None
) -> None:
    raw = RawProperties.of(spec.Basic.Properties(headers=headers, message_id=text, priority=priority, user_id=text))
    assert raw.decode() == decoded_by_the_driver(raw)
    assert raw.text("user_id") == text
    assert raw.text("app_id") is None
    assert all(raw.header(name) == value for name, value in decoded_by_the_driver(raw).headers.items())  # type: ignore[union-attr]


def test_every_type_of_value_is_decoded_as_by_the_driver() -> None:
    raw = RawProperties.of(FULL)
    assert raw.decode() == decoded_by_the_driver(raw)
    assert RawProperties().decode() == spec.Basic.Properties()


@pytest.mark.parametrize("name", UNDECODABLE)
def test_an_undecodable_field_is_named_in_the_error(name: str) -> None:
    raw = UNDECODABLE[name]
    with pytest.raises((ValueError, RecursionError)):
        decoded_by_the_driver(raw)
    with pytest.raises(UndecodableProperties, match="header|" + name.split(maxsplit=1)[0]) as refused:
        raw.decode()
    assert isinstance(refused.value, PermanentError)
    assert raw.view().undecodable
    assert raw.text("user_id") is None
    assert raw.header("x-other") is None


@pytest.mark.parametrize("name", UNDECODABLE)
def test_undecodable_properties_are_written_with_other_headers_and_are_otherwise_unchanged(name: str) -> None:
    raw = UNDECODABLE[name]
    revised = raw.revised({"delivery_mode": 2, "user_id": None}, {"x-run": "r1", "x-count": 3})
    assert (revised.header("x-run"), revised.header("x-count")) == ("r1", 3)
    assert revised.view().undecodable == raw.view().undecodable
    back = revised.revised({"delivery_mode": None}, {}, lambda name: name not in {b"x-run", b"x-count"})
    assert (back.raw("headers") or None) == raw.raw("headers")
    for field in KINDS.keys() - {"headers", "delivery_mode"}:
        assert revised.raw(field) == raw.raw(field)
    assert (raw.raw("headers") or b"") in (revised.raw("headers") or b"")


def test_decodable_fields_are_shown_beside_an_undecodable_one() -> None:
    raw = RawProperties.of(FULL)
    mixed = RawProperties(raw.data.replace(b"\x04text", b"\x04te\xfft"))
    view = mixed.view()
    assert view.undecodable.keys() == {r"headers['te\\xfft']"}
    assert view.properties.message_id == "m-1"
    assert view.properties.headers is not None
    assert view.properties.headers["count"] == 3


@given(st.binary(max_size=300) | st.integers(0, 400).map(lambda cut: RawProperties.of(FULL).data[:cut]))
def test_any_bytes_are_decoded_or_refused(data: bytes) -> None:
    raw = RawProperties(data)
    raw.view()
    for ask in (raw.decode, lambda: raw.text("user_id"), lambda: raw.header("x-death"), lambda: raw.revised({}, {})):
        with contextlib.suppress(UndecodableProperties):
            ask()


@given(st.integers(0, 500), st.binary(min_size=1, max_size=1))
def test_properties_with_one_wrong_byte_are_decoded_or_refused(place: int, byte: bytes) -> None:
    data = RawProperties.of(FULL).data
    raw = RawProperties(data[:place] + byte + data[place + 1 :])
    view = raw.view()
    if view.undecodable:
        with pytest.raises(UndecodableProperties):
            raw.decode()
    else:
        assert raw.decode() == view.properties
