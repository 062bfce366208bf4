from datetime import UTC, datetime

from aiormq import spec
from hypothesis import given
from hypothesis import strategies as st

from services.shared.contracts import CONTENT_TYPE
from warren_messaging.amqp.publisher import Message, Publisher

name = st.text(min_size=1, max_size=60)


@given(
    name,
    name,
    name,
    st.integers(0, 2**32 - 1),
    st.none() | st.integers(0, 31),
    st.none() | st.integers(0, 2**31 - 1),
    st.none() | st.text(max_size=256),
)
def test_properties_of_a_message_are_written_as_by_the_driver(
    route: str, identity: str, subject: str, time: int, priority: int | None, expires: int | None, trace: str | None
) -> None:
    message = Message("e", route, b"", identity, subject, time + 0.7, priority, expires, trace)
    publisher = Publisher.__new__(Publisher)
    publisher._user, publisher._name, publisher._tails = "order.7", "order", {}
    frame = publisher._frame(message)
    assert frame.message_key == identity
    assert (
        frame.properties
        == spec.Basic.Properties(
            content_type=CONTENT_TYPE,
            delivery_mode=2,
            message_id=identity,
            correlation_id=subject,
            message_type=route,
            timestamp=datetime.fromtimestamp(time, UTC),
            user_id="order.7",
            app_id="order",
            priority=priority,
            expiration=None if expires is None else str(expires),
            headers=None if trace is None else {"traceparent": trace},
        ).marshal()
    )
