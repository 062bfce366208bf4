"""The facts of a parked message, even if its body or its properties are invalid."""

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

FROM_ORDER = codec.encode(event_of(OrderConfirmed(customer="ann"), source="/warren/order"))


def parked_message(body: bytes, lot: str = "probe.dlq", **properties: Any) -> ParkedMessage:
    return read(body, RawProperties.of(spec.Basic.Properties(**properties)), lot)


def read(body: bytes, raw: RawProperties, lot: str = "probe.dlq") -> ParkedMessage:
    return parked(lot, Received(7, False, "orders.dlx", "probe.dlq", raw, body))


@given(st.binary() | st.dictionaries(st.text(), st.integers() | st.text()).map(msgspec.json.encode))
def test_any_body_has_an_id_and_a_home_queue(body: bytes) -> None:
    message = parked_message(body)
    assert message.id
    assert message.keys[-1] == message.body_hash
    assert (message.home, message.service, message.tag) == ("probe.queue", "probe", 7)


@pytest.mark.parametrize(
    "body", [b'{"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}", b'{"id": 7, "type": []}', b"[]"]
)
def test_a_body_that_is_no_event_has_no_envelope(body: bytes) -> None:
    assert parked_message(body).envelope.id is None


def test_the_first_key_of_an_event_is_its_logical_id() -> None:
    event = event_of(OrderConfirmed(customer="ann"), reference="123")
    message = parked_message(codec.encode(event))
    assert message.keys == (str(event.logicalid), message.body_hash)
    assert (message.id, message.type, message.order) == (str(event.id), "order.confirmed", "123")


def test_the_latest_death_names_the_queue_to_return_to() -> None:
    message = parked_message(b"", headers={"x-death": [DEATH | {"queue": "other.queue"}, DEATH]})
    assert (message.home, message.service, message.parked_at) == (
        "other.queue",
        "other",
        DEATH["time"],
    )
    assert parked_message(b"", lot="unrouted.queue", headers={"x-death": [DEATH]}).home is None
    for nonsense in (None, "x", [], [7], [{"queue": 7}]):
        assert parked_message(b"", headers={"x-death": nonsense}).death is None


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
def test_the_death_record_of_the_broker_proves_a_forged_sender(user: str | None, death: object, forged: bool) -> None:
    assert (parked_message(FROM_ORDER, user_id=user, headers={"x-death": [death]}).forgery_reason is not None) == forged


def test_a_forged_event_that_is_nested_too_deeply_to_decode_stays_forged() -> None:
    nested = FROM_ORDER.replace(b'"data":', b'"more":' + b"[" * 2000 + b"]" * 2000 + b',"data":')
    assert parked_message(nested, user_id="payment", headers={"x-death": [DEATH]}).forgery_reason is not None


def test_the_sender_of_an_unrouted_event_is_checked_by_its_routing_key_and_not_by_x_death() -> None:
    replayed = DEATH | {"exchange": "redrive.exchange"}
    assert (
        parked_message(
            FROM_ORDER, lot="unrouted.queue", user_id="order", headers={"x-death": [replayed]}
        ).forgery_reason
        is not None
    )


def test_a_replay_drops_headers_of_the_broker_and_counts_replays() -> None:
    message = parked_message(
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
    again = message.properties_for_redrive("run", "dlq").decode()
    assert again.headers == {"traceparent": "00-1-2-01", "x-warren-replay": "run", "x-warren-replays": 3}
    assert (again.user_id, again.expiration, again.priority, again.delivery_mode) == ("dlq", None, 9, 2)
    assert again.message_id == message.id == message.body_hash[:16]
    assert replays(again.headers) == 3
    pamqp.frame.marshal(ContentHeader(body_size=0, properties=again), 1)


@pytest.mark.parametrize("kind", UNDECODABLE)
def test_undecodable_properties_are_named_and_replayed_unchanged(kind: str) -> None:
    raw = UNDECODABLE[kind]
    message = read(b"x", raw)
    assert message.id
    assert len(message.undecodable) == 1
    again = message.properties_for_redrive("run", "dlq")
    assert replays({COUNT_HEADER: again.header(COUNT_HEADER)}) == 1
    for name in ("app_id", "timestamp", "message_type", "content_type", "correlation_id", "reply_to"):
        assert again.raw(name) == raw.raw(name)
    assert again.raw("message_id") == (raw.raw("message_id") or message.id.encode())
    assert (raw.raw("headers") or b"") in (again.raw("headers") or b"")


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_any_properties_leave_an_id_a_reason_and_a_home_queue(properties: bytes, body: bytes) -> None:
    message = parked(
        "probe.dlq", Received(7, False, "orders.dlx", "probe.dlq", RawProperties(b"\xa0" + properties), body)
    )
    assert message.id
    assert message.reason(None)
    assert message.home == "probe.queue"
    _ = message.forgery_reason


def test_an_undecodable_death_record_hides_no_forged_sender() -> None:
    name = b"\x07x-death"
    table = name + b"A" + (9).to_bytes(4) + b"T" + (2**60).to_bytes(8)
    raw = RawProperties(b"\x20\x00" + len(table).to_bytes(4) + table)
    message = read(FROM_ORDER, raw)
    assert message.forgery_reason is not None
    assert message.home == "probe.queue"


def test_an_id_too_long_for_a_property_is_replaced_by_the_hash_of_the_body() -> None:
    message = parked_message(b'{"id": "' + "ä".encode() * 200 + b'"}')
    again = message.properties_for_redrive("run", "dlq").text("message_id")
    assert again == message.body_hash
    assert len(message.id.encode()) > MAX_SHORTSTR


@pytest.mark.parametrize("logical", ["a\\u0000b", "", "7"])
def test_a_logical_id_that_is_not_a_uuid_is_not_a_key(logical: str) -> None:
    message = parked_message(b'{"logicalid": "' + logical.encode() + b'"}')
    assert message.keys == (message.body_hash,)


@pytest.mark.parametrize("strange", ["7", -1, 2**31, None, 1.5])
def test_an_invalid_count_of_replays_is_zero(strange: object) -> None:
    assert replays(None) == replays({}) == replays({COUNT_HEADER: strange}) == 0
