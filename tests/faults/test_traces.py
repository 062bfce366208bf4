"""Every order is one connected trace, received over OTLP, whatever happens to it."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from faults.harness import FaultHarness, eventually
from tests.faults.customers import Customers
from tests.faults.order_trace import OrderTrace, wait_for_trace
from tests.system.test_redrive import warren

CREATED_IN_INVENTORY = "process order.exchange:order.created:inventory.queue"


@pytest.fixture
def subscribers(harness: FaultHarness) -> dict[str, list[str]]:
    return harness.subscribers()


def audited(event_type: str) -> Callable[[OrderTrace], bool]:
    """Whether audit has processed an event, the last one of an order."""
    return lambda trace: bool(trace.named(f"process order.exchange:{event_type}:audit.queue"))


async def park_one(harness: FaultHarness, queue: str) -> None:
    """Reject the next message of a queue, as a consumer would."""
    async with asyncio.timeout(20), harness.servers.broker.endpoints.channel("orders") as channel:
        while (message := await channel.basic_get(queue)).delivery_tag is None:  # noqa: ASYNC110 - it may not be there yet
            await asyncio.sleep(0.1)
        await channel.basic_reject(message.delivery_tag, requeue=False)


def outcomes(trace: OrderTrace, name: str, service: str) -> list[str | None]:
    return [span.outcome for span in trace.named(name, service)]


def test_an_order_that_completes(
    harness: FaultHarness, customers: Customers, subscribers: dict[str, list[str]]
) -> None:
    order_id = customers.order("item1")
    harness.wait_for_state(order_id, "COMPLETED")
    trace = wait_for_trace(harness, order_id, audited("order.completed"))
    trace.check(subscribers)
    assert {span.service for span in trace.spans} >= {
        "order-api", "order-worker", "inventory", "payment", "shipping", "notification", "email", "sms", "audit",
    }  # fmt: skip
    for publish in trace.named("publish "):
        if publish.service != "shipping":  # its periodic jobs continue from the context that they stored
            assert trace.parent(publish).service == publish.service
        assert not publish.outcome and "error" not in publish.tags
    assert {span.outcome for span in trace.named("process ")} == {None}


def test_an_order_that_is_out_of_stock(
    harness: FaultHarness, customers: Customers, subscribers: dict[str, list[str]]
) -> None:
    order_id = customers.order("sold-out")
    harness.wait_for_state(order_id, "CANCELLED")
    trace = wait_for_trace(harness, order_id, audited("order.cancelled"))
    trace.check(subscribers)
    refusal = trace.one("publish order.exchange:inventory.out_of_stock", "inventory")
    assert trace.parent(refusal).name == CREATED_IN_INVENTORY
    cancelling = trace.named("publish order.exchange:order.cancelling", "order-worker")[0]
    assert trace.parent(cancelling) in trace.below(refusal)
    assert not trace.named("publish order.exchange:payment.success")


def test_a_step_that_is_retried(harness: FaultHarness, customers: Customers, subscribers: dict[str, list[str]]) -> None:
    order_id = customers.order("item1", paymentToken="tok_flaky")
    harness.wait_for_state(order_id, "COMPLETED")
    trace = wait_for_trace(harness, order_id, audited("order.completed"))
    trace.check(subscribers)
    attempts = trace.named("process order.exchange:inventory.reserved:payment.queue")
    assert [span.outcome for span in attempts] == ["retried", "retried", None]
    assert len({span.parent for span in attempts}) == 1
    assert [span.tags.get("error.type") for span in attempts[:2]] == ["services.payment.gateway.GatewayError"] * 2
    assert trace.parent(trace.one("publish order.exchange:payment.success")) == attempts[2]


def test_a_scheduled_message(harness: FaultHarness, customers: Customers, subscribers: dict[str, list[str]]) -> None:
    harness.restart_services("order-api", WARREN_PAYMENT_REMINDER_SECONDS="1")
    harness.freeze("payment")
    order_id = customers.order("item1")
    eventually(
        lambda: harness.sql("SELECT FROM audit.events WHERE type = 'order.payment_reminder' AND subject = $1", order_id)
    )
    harness.thaw("payment")
    harness.wait_for_state(order_id, "COMPLETED")
    trace = wait_for_trace(harness, order_id, audited("order.completed"))
    harness.restart_services("order-api")
    trace.check(subscribers)
    reminder = trace.one("publish order.exchange:order.payment_reminder")
    assert trace.parent(reminder).name == "POST /orders"
    assert reminder.start - trace.parent(reminder).start >= 1_000_000


def test_a_replay_from_the_parking_lot(
    harness: FaultHarness, customers: Customers, subscribers: dict[str, list[str]], tmp_path: Path
) -> None:
    harness.processes.kill("inventory")
    order_id = customers.order("item1")
    asyncio.run(park_one(harness, "inventory.queue"))
    harness.start_service("inventory")
    exported = {"OTEL_EXPORTER_OTLP_ENDPOINT": harness.traces_url, "OTEL_TRACES_SAMPLER_ARG": "1"}
    result = warren(
        harness, tmp_path, "dlq", "replay", "--queue", "inventory", "--order", str(order_id), environment=exported
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("replayed 1 of ")
    harness.wait_for_state(order_id, "COMPLETED")
    trace = wait_for_trace(harness, order_id, audited("order.completed"))
    replay = trace.one("publish redrive.exchange:inventory.queue")
    assert (replay.service, trace.parent(replay).name) == ("warren", "publish order.exchange:order.created")
    (replayed,) = trace.below(replay)
    assert (replayed.service, replayed.name) == ("inventory", "process redrive.exchange:inventory.queue")
    assert trace.parent(trace.one("publish order.exchange:inventory.reserved")) == replayed
    trace.check(subscribers, never_processed={CREATED_IN_INVENTORY})


def test_a_process_that_is_killed_between_commit_and_publish(
    harness: FaultHarness, customers: Customers, subscribers: dict[str, list[str]]
) -> None:
    harness.set_failpoint("inventory", "before publish")
    order_id = customers.order("item1")
    harness.wait_for_exit("inventory")
    harness.start_service("inventory")
    harness.wait_for_state(order_id, "COMPLETED")
    trace = wait_for_trace(harness, order_id, audited("order.completed"))
    # The killed process had no time to export the span in which it announced the event; the context outlived it.
    reserved = "publish order.exchange:inventory.reserved"
    trace.check(subscribers, orphans={reserved})
    assert outcomes(trace, CREATED_IN_INVENTORY, "inventory") == ["repeated"]
    assert trace.one(reserved).start > trace.one("POST /orders").start + 1_000_000, "published when the lease was over"
