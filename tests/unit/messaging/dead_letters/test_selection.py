"""Filters over parked messages, alone and combined."""

import re
from datetime import UTC, datetime, timedelta

from aiormq import spec
from hypothesis import given
from hypothesis import strategies as st

from warren_messaging.amqp.properties import RawProperties
from warren_messaging.dead_letters.parked_message import DeathRecord, FailureRecord, ParkedMessage, ReadableEnvelope
from warren_messaging.dead_letters.selection import Selection

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)

times = st.integers(-5, 5).map(lambda hours: NOON + timedelta(hours=hours))
ids = st.sampled_from(["a1", "a2", "b1", "b2", "b22"])
types = st.sampled_from(["order.created", "order.paid", "payment.failed", "order"])
reasons = st.sampled_from(["gateway is down", "took too long", "not JSON"])


@st.composite
def messages(draw: st.DrawFn) -> tuple[ParkedMessage, FailureRecord | None]:
    envelope = ReadableEnvelope(
        id=draw(st.none() | ids),
        logicalid=draw(st.none() | ids),
        type=draw(st.none() | types),
        subject=draw(st.none() | ids),
        reference=draw(st.none() | ids),
    )
    reason = draw(st.sampled_from(["rejected", "expired"]))
    death = draw(
        st.none()
        | st.builds(
            DeathRecord,
            st.just("probe.queue"),
            st.just(reason),
            st.none() | times,
            st.just("order.exchange"),
            st.just("key"),
        )
    )
    properties = spec.Basic.Properties(message_id=draw(st.none() | ids), correlation_id=draw(st.none() | ids))
    body, raw = draw(st.binary(max_size=3)), RawProperties.of(properties)
    parked = ParkedMessage("probe.dlq", 1, body, properties, "orders.dlx", "key", envelope, death, raw, {})
    failed = draw(st.none() | reasons)
    if failed is None:
        return parked, None
    return parked, FailureRecord("probe", "k", None, None, 1, failed, "parked", NOON, NOON)


@st.composite
def selections(draw: st.DrawFn) -> Selection:
    return Selection(
        reason=draw(st.none() | st.sampled_from(["down|long", "^expired", "JSON"]).map(re.compile)),
        since=draw(st.none() | times),
        until=draw(st.none() | times),
        order=draw(st.none() | ids),
        type=draw(st.none() | st.sampled_from(["order.*", "order.paid", "*", "?rder"])),
        id=draw(st.none() | st.sampled_from(["a", "b2", "b1"])),
    )


@given(messages())
def test_an_empty_selection_matches_everything(message: tuple[ParkedMessage, FailureRecord | None]) -> None:
    assert Selection().matches(*message)


@given(selections(), messages())
def test_a_selection_matches_if_all_its_filters_match(
    selection: Selection, message: tuple[ParkedMessage, FailureRecord | None]
) -> None:
    parts = {name: getattr(selection, name) for name in Selection.__struct_fields__}
    alone = [Selection(**{name: value}).matches(*message) for name, value in parts.items() if value is not None]
    assert selection.matches(*message) == all(alone)


@given(times, messages())
def test_since_and_until_split_messages_by_time_and_match_none_without_a_time(
    moment: datetime, message: tuple[ParkedMessage, FailureRecord | None]
) -> None:
    since, until = Selection(since=moment).matches(*message), Selection(until=moment).matches(*message)
    assert (since, until) in ({(False, False)} if message[0].parked_at is None else {(True, False), (False, True)})


@given(messages())
def test_a_message_is_found_by_every_value_that_a_list_shows(
    message: tuple[ParkedMessage, FailureRecord | None],
) -> None:
    parked, failure = message
    assert parked.id
    assert Selection(id=parked.id).matches(*message)
    assert Selection(reason=re.compile(re.escape(parked.reason(failure)))).matches(*message)
    if parked.order is not None:
        assert Selection(order=parked.order).matches(*message)
    if parked.type is not None:
        assert Selection(type=parked.type).matches(*message)


@given(messages(), ids)
def test_another_order_or_type_is_not_matched(message: tuple[ParkedMessage, FailureRecord | None], order: str) -> None:
    parked, _ = message
    known = {parked.envelope.subject, parked.envelope.reference, parked.properties.correlation_id}
    assert Selection(order=order).matches(*message) == (order in known)
    assert not Selection(type="order.shipped").matches(*message)
