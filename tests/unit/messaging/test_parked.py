"""What can be told of a parked message, however broken it is."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pamqp.frame
import pytest
from aiormq import spec
from hypothesis import given
from hypothesis import strategies as st
from pamqp.header import ContentHeader

from services.shared.contracts.orders import OrderConfirmed
from tests.undecodable import UNDECODABLE
from warren_messaging import codec
from warren_messaging.amqp.properties import RawProperties
from warren_messaging.amqp.received import Received
from warren_messaging.dead_letters.parked_message import COUNT_HEADER, MAX_SHORTSTR, ParkedMessage, parked, replays
from warren_messaging.testing import event_of

DEATH = {
    "queue": "probe.queue",
    "reason": "rejected",
    "count": 1,
    "time": datetime(2026, 1, 2, tzinfo=UTC),
    "exchange": "order.exchange",
    "routing-keys": ["order.confirmed", "more"],
}


def message(body: bytes, lot: str = "probe.dlq", **properties: Any) -> ParkedMessage:
    raw = RawProperties.of(spec.Basic.Properties(**properties))
    return parked(lot, Received(7, False, "orders.dlx", "probe.dlq", raw, body))


@given(st.binary() | st.dictionaries(st.text(), st.integers() | st.text()).map(msgspec.json.encode))
def test_any_body_is_told_something_of(body: bytes) -> None:
    it = message(body)
    assert it.id
    assert it.keys[-1] == it.body_hash
    assert (it.home, it.service, it.tag) == ("probe.queue", "probe", 7)


@pytest.mark.parametrize(
    "body", [b'{"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}", b'{"id": 7, "type": []}', b"[]"]
)
def test_nonsense_has_no_envelope(body: bytes) -> None:
    assert message(body).envelope.id is None


def test_an_event_is_known_by_its_logical_id_first() -> None:
    event = event_of(OrderConfirmed(customer="ann"), reference="123")
    it = message(codec.encode(event))
    assert it.keys == (str(event.logicalid), it.body_hash)
    assert (it.id, it.type, it.order) == (str(event.id), "order.confirmed", "123")


def test_the_latest_death_says_where_it_goes_back_to() -> None:
    it = message(b"", headers={"x-death": [DEATH | {"queue": "other.queue"}, DEATH]})
    assert (it.home, it.service, it.parked_at) == ("other.queue", "other", DEATH["time"])
    assert message(b"", lot="unrouted.queue", headers={"x-death": [DEATH]}).home is None
    for nonsense in (None, "x", [], [7], [{"queue": 7}]):
        assert message(b"", headers={"x-death": nonsense}).death is None


@pytest.mark.parametrize(
    ("user", "death", "forged"),
    [
        ("order", DEATH, False),
        ("order.2", DEATH, False),
        ("payment", DEATH, True),
        ("orders", DEATH, True),
        (None, DEATH, True),
        ("order", DEATH | {"routing-keys": ["order.paid", "order.confirmed"]}, True),
        ("order", DEATH | {"routing-keys": 7}, True),
        (None, DEATH | {"exchange": "redrive.exchange", "routing-keys": ["probe.queue"]}, False),
        (None, None, False),
        ("order", None, False),
        ("payment", None, True),
    ],
)
def test_it_stays_forged_by_what_the_broker_noted_when_it_was_parked(
    user: str | None, death: object, forged: bool
) -> None:
    body = codec.encode(event_of(OrderConfirmed(customer="ann"), source="/warren/order"))
    assert (message(body, user_id=user, headers={"x-death": [death]}).forgery is not None) == forged


def test_a_body_that_is_nested_too_deeply_to_be_read_here_stays_forged_since_a_service_may_read_it() -> None:
    body = codec.encode(event_of(OrderConfirmed(customer="ann"), source="/warren/order"))
    nested = body.replace(b'"data":', b'"more":' + b"[" * 2000 + b"]" * 2000 + b',"data":')
    assert message(nested, user_id="payment", headers={"x-death": [DEATH]}).forgery is not None


def test_an_unrouted_event_is_judged_by_its_own_routing_key_since_its_sender_may_have_written_x_death() -> None:
    body = codec.encode(event_of(OrderConfirmed(customer="ann"), source="/warren/order"))
    replayed = DEATH | {"exchange": "redrive.exchange"}
    assert message(body, lot="unrouted.queue", user_id="order", headers={"x-death": [replayed]}).forgery is not None


def test_revived_it_has_forgotten_its_past_and_counts_its_replays() -> None:
    it = message(
        b"",
        user_id="order",
        expiration="5",
        priority=9,
        headers={
            "x-death": [DEATH],
            "x-first-death-queue": "q",
            "x-last-death-reason": "rejected",
            "x-delivery-count": 3,
            "x-acquired-count": 4,
            "CC": ["other.queue"],
            "BCC": ["other.queue"],
            "traceparent": "00-1-2-01",
            "x-warren-replay": "earlier",
            "x-warren-replays": 2,
        },
    )
    again = it.revived("run", "dlq").decode()
    assert again.headers == {"traceparent": "00-1-2-01", "x-warren-replay": "run", "x-warren-replays": 3}
    assert (again.user_id, again.expiration, again.priority, again.delivery_mode) == ("dlq", None, 9, 2)
    assert again.message_id == it.id == it.body_hash[:16]
    assert replays(again.headers) == 3
    pamqp.frame.marshal(ContentHeader(body_size=0, properties=again), 1)


@pytest.mark.parametrize("kind", UNDECODABLE)
def test_properties_that_cannot_be_decoded_are_named_and_travel_as_they_came(kind: str) -> None:
    raw = UNDECODABLE[kind]
    it = parked("probe.dlq", Received(7, False, "orders.dlx", "probe.dlq", raw, b"x"))
    assert it.id
    assert len(it.undecodable) == 1
    again = it.revived("run", "dlq")
    assert replays({COUNT_HEADER: again.header(COUNT_HEADER)}) == 1
    for name in ("app_id", "timestamp", "message_type", "content_type", "correlation_id", "reply_to"):
        assert again.raw(name) == raw.raw(name)
    assert again.raw("message_id") == (raw.raw("message_id") or it.id.encode())
    assert (raw.raw("headers") or b"") in (again.raw("headers") or b"")


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_whatever_the_properties_are_something_is_known(properties: bytes, body: bytes) -> None:
    it = parked("probe.dlq", Received(7, False, "orders.dlx", "probe.dlq", RawProperties(b"\xa0" + properties), body))
    assert it.id
    assert it.reason(None)
    assert it.home == "probe.queue"
    _ = it.forgery


def test_it_stays_forged_if_the_broker_s_note_on_it_cannot_be_decoded() -> None:
    body = codec.encode(event_of(OrderConfirmed(customer="ann"), source="/warren/order"))
    name = b"\x07x-death"
    table = name + b"A" + (9).to_bytes(4) + b"T" + (2**60).to_bytes(8)
    raw = RawProperties(b"\x20\x00" + len(table).to_bytes(4) + table)
    it = parked("probe.dlq", Received(7, False, "orders.dlx", "probe.dlq", raw, body))
    assert it.forgery is not None
    assert it.home == "probe.queue"


def test_an_id_that_no_property_can_hold_is_replaced_by_the_body_s_hash() -> None:
    it = message(b'{"id": "' + "ä".encode() * 200 + b'"}')
    again = it.revived("run", "dlq").text("message_id")
    assert again == it.body_hash
    assert len(it.id.encode()) > MAX_SHORTSTR


@pytest.mark.parametrize("logical", ["a\\u0000b", "", "7"])
def test_a_logical_id_that_is_no_uuid_is_no_key(logical: str) -> None:
    it = message(b'{"logicalid": "' + logical.encode() + b'"}')
    assert it.keys == (it.body_hash,)


@pytest.mark.parametrize("strange", ["7", -1, 2**31, None, 1.5])
def test_a_strange_count_of_replays_is_none(strange: object) -> None:
    assert replays(None) == replays({}) == replays({COUNT_HEADER: strange}) == 0
