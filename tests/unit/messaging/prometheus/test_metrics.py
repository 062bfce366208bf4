"""Which series a service has, and that no sender of messages can add one."""

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from tests.events import order_created
from warren_messaging import Service, ServiceSettings
from warren_messaging.amqp.pipeline import PublishResult
from warren_messaging.delivery import Delivery
from warren_messaging.events import AnyEvent, Event
from warren_messaging.failure import DeliveryFailure, FailureReason
from warren_messaging.prometheus import PrometheusMetrics, exemplar, exposition
from warren_messaging.prometheus.destinations import MAX_DESTINATIONS, DestinationNames
from warren_messaging.testing import delivery_of, event_of
from warren_messaging.transaction import Transaction

EVENT = event_of(order_created(("item1", 1)))
TRACE = "0af7651916cd43dd8448eb211c80319c"
SAMPLED = f"00-{TRACE}-b7ad6b7169203331-01"
SETTINGS = ServiceSettings(
    broker_url="amqp://user:password@localhost/", database_url="postgresql://role:password@localhost/database"
)


async def handle(event: Event[object], uow: Transaction) -> tuple[()]:
    return ()


@pytest.fixture
def metrics() -> PrometheusMetrics:
    service = Service("inventory", SETTINGS)
    service.consume("inventory.queue", {type(EVENT.data): handle})
    metrics = PrometheusMetrics(CollectorRegistry())
    metrics.watch(service)
    return metrics


def received(event: AnyEvent = EVENT, **fields: object) -> Delivery:
    return delivery_of(event, queue="inventory.queue", **fields)


def labels(**others: str) -> dict[str, str]:
    return {
        "messaging_system": "rabbitmq",
        "messaging_operation_name": "process",
        "messaging_destination_name": "order.exchange:order.created:inventory.queue",
        "messaging_consumer_group_name": "inventory",
        "error_type": "",
    } | others


def failure(reason: FailureReason, *, parked: bool = False) -> DeliveryFailure:
    return DeliveryFailure(reason=reason, text="busy", key="k", attempts=1, parked=parked, seconds=0.2)


def test_a_failed_attempt_is_measured_under_its_reason(metrics: PrometheusMetrics) -> None:
    value = metrics.registry.get_sample_value
    metrics.processed("inventory", received(), EVENT, [], 0.02)
    metrics.failed("inventory", received(), EVENT, failure(FailureReason.TRANSIENT))
    metrics.failed("inventory", received(), EVENT, failure(FailureReason.EXHAUSTED, parked=True))
    name = "messaging_process_duration_seconds"
    assert value(f"{name}_sum", labels()) == 0.02
    assert value(f"{name}_sum", labels(error_type="transient")) == 0.2
    group = {"messaging_consumer_group_name": "inventory"}
    failed = "warren_failed_deliveries_total"
    assert value(failed, {**group, "outcome": "retried", "reason": "transient"}) == 1
    assert value(failed, {**group, "outcome": "parked", "reason": "exhausted"}) == 1


def test_senders_add_no_series(metrics: PrometheusMetrics) -> None:
    def report(number: int) -> None:
        event = msgspec.structs.replace(EVENT, type=f"order.{number}")
        delivery = received(event)
        metrics.received("inventory", [delivery])
        metrics.processed("inventory", delivery, event, [], 0.1)
        metrics.repeated("inventory", delivery, event)
        metrics.failed("inventory", delivery, None, failure(FailureReason.MALFORMED, parked=True))

    def series() -> set[str]:
        return {line.rpartition(" ")[0] for line in exposition("", metrics.registry)[0].decode().splitlines()}

    report(0)
    before = series()
    assert any('messaging_destination_name="order.exchange:other:inventory.queue"' in line for line in before)
    for number in range(1, 200):
        report(number)
    assert series() == before


def test_exchanges_are_limited_too() -> None:
    names = DestinationNames(lambda routing_key: True)
    found = {names.of(f"exchange{number}", "order.created", "q") for number in range(3 * MAX_DESTINATIONS)}
    assert len(found) == MAX_DESTINATIONS + 1
    assert "other" in found


def test_a_replay_is_a_destination_without_a_second_name_of_the_queue() -> None:
    names = DestinationNames(lambda routing_key: False)
    assert names.of("redrive.exchange", "inventory.queue", "inventory.queue") == "redrive.exchange:inventory.queue"


def test_a_connection_after_the_first_one_is_a_reconnect(metrics: PrometheusMetrics) -> None:
    for _ in range(3):
        metrics.connected("relay", 2e9)
    assert metrics.registry.get_sample_value("warren_reconnects_total", {"component": "relay"}) == 2
    certificate = {"server": "broker", "certificate": "server"}
    assert metrics.registry.get_sample_value("warren_certificate_expiry_timestamp_seconds", certificate) == 2e9


def test_only_sampled_traces_are_exemplars(metrics: PrometheusMetrics) -> None:
    for traceparent in (None, SAMPLED[:-1] + "0", "forged\n-01", "x" * 256):
        event = msgspec.structs.replace(EVENT, traceparent=traceparent)
        metrics.published(event, "order.exchange", PublishResult.CONFIRMED, 0.01)
        assert exemplar(traceparent) is None
    openmetrics = "application/openmetrics-text; version=1.0.0"
    assert b"trace_id" not in exposition(openmetrics, metrics.registry)[0]
    event = msgspec.structs.replace(EVENT, traceparent=SAMPLED)
    metrics.published(event, "order.exchange", PublishResult.CONFIRMED, 0.01)
    page, content_type = exposition(openmetrics, metrics.registry)
    assert content_type.startswith("application/openmetrics-text")
    assert page.count(f'# {{trace_id="{TRACE}"}} 0.01'.encode()) == 1
    assert page.endswith(b"# EOF\n")


def test_two_registries_are_one_page(metrics: PrometheusMetrics) -> None:
    page, _ = exposition("application/openmetrics-text", metrics.registry, CollectorRegistry())
    assert page.count(b"# EOF") == 1


def test_a_duration_is_in_the_buckets_from_its_own_bound_on(metrics: PrometheusMetrics) -> None:
    for seconds in (0.005, 0.0051, 7.5, 60.0):
        metrics.processed("inventory", received(), EVENT, [], seconds)

    def below(bound: str) -> float | None:
        return metrics.registry.get_sample_value("messaging_process_duration_seconds_bucket", labels(le=bound))

    bounds = ("0.005", "0.01", "5.0", "7.5", "10.0", "+Inf")
    assert [below(bound) for bound in bounds] == [1, 2, 2, 3, 3, 4]
    assert metrics.registry.get_sample_value("messaging_process_duration_seconds_count", labels()) == 4


def test_sent_messages_are_counted_by_the_answer_of_the_broker(metrics: PrometheusMetrics) -> None:
    for result in (PublishResult.CONFIRMED, PublishResult.CONFIRMED, PublishResult.RETURNED):
        metrics.published(EVENT, "order.exchange", result, 0.01)

    def sent(error: str) -> float | None:
        found = labels(messaging_operation_name="publish", messaging_destination_name="order.exchange:order.created")
        del found["messaging_consumer_group_name"]
        name = "messaging_client_sent_messages_total"
        return metrics.registry.get_sample_value(name, found | {"error_type": error})

    assert (sent(""), sent("returned"), sent("refused")) == (2, 1, None)
