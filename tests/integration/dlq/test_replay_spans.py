"""A replayed message continues the trace of its publish."""

from aiormq import spec
from opentelemetry.trace import SpanKind

from services.shared.contracts.orders import OrderConfirmed
from tests.integration.dlq.conftest import ParkingLotEnv
from tests.integration.dlq.test_replay import replay
from tests.messaging_env import record
from tests.recorded_spans import PARENT, TRACE, UNSAMPLED, context_of, parent_of, recorded_spans
from warren_messaging import codec
from warren_messaging.testing import event_of

EVENT_CONTEXT = f"00-{TRACE}-{'1' * 16}-01"


async def test_a_replay_is_a_publish_in_the_trace_of_the_message(env: ParkingLotEnv) -> None:
    event = event_of(OrderConfirmed(customer="gayal"), traceparent=EVENT_CONTEXT)
    other = event_of(OrderConfirmed(customer="gayal"), traceparent=UNSAMPLED)
    user = env.servers.broker.endpoints.admin_username
    for each, header in ((event, PARENT), (other, UNSAMPLED)):
        await env.reject(
            (
                codec.encode(each),
                spec.Basic.Properties(
                    delivery_mode=2, message_id=str(each.id), user_id=user, headers={"traceparent": header, "count": 7}
                ),
            )
        )
    with recorded_spans() as spans:
        assert (await replay(env)).replayed == 2
        async with env.consumer({OrderConfirmed: record}):
            await env.wait_for_recorded(2)
    published, processed = spans.one("publish "), spans.one("process ")
    assert (published.name, published.kind) == ("publish redrive.exchange:probe.queue", SpanKind.PRODUCER)
    assert (parent_of(published), parent_of(processed)) == (PARENT, context_of(published))
    assert processed.name == "process redrive.exchange:probe.queue"
