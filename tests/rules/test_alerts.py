"""Each alert about the shop and its servers fires by its fault, on the real system, and clears after the repair.

Rules have shorter times: tests/rules/shortened.py. Alerts about the operator: tests/kubernetes/test_alerts.py.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from devtools.servers.credentials import Certificates
from faults.chaos.replays import replay_unrouted
from faults.harness import BROKER, DATABASE, eventually
from tests.rules.watched_shop import Alert, WatchedShop
from warren.provision.authority import CERTIFICATE_DAYS

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

OVERDUE: list[Alert] = [("WarrenOrderErrorBudgetBurn", "page", ""), ("WarrenOrderErrorBudgetBurn", "ticket", "")]


@pytest.fixture(scope="module", autouse=True)
def _nothing_fires_when_all_is_well(shop: WatchedShop) -> Iterator[None]:
    for _ in range(5):
        shop.order()
    eventually(shop.harness.is_idle)
    shop.alerts.wait_until_cleared(*shop.alerts.firing())
    yield
    # The windows of the ticket about the error budget are the longest: six minutes here.
    shop.alerts.wait_until_cleared(*shop.alerts.firing(), seconds=500)


def test_a_stopped_consumer_stops_orders(shop: WatchedShop) -> None:
    alerts: list[Alert] = [
        ("WarrenProcessDown", "page", "payment"),
        ("WarrenQueueWithoutConsumers", "page", "payment.queue"),
        ("WarrenOrderStuck", "page", "CONFIRMED"),
    ]
    shop.harness.processes.stop("payment")
    try:
        for _ in range(15):
            shop.order()
        shop.alerts.wait_until_firing(*alerts, *OVERDUE)
    finally:
        shop.harness.start_service("payment")
    shop.alerts.wait_until_cleared(*alerts, OVERDUE[0])


def test_one_of_two_replicas_and_one_of_two_nodes_are_down(shop: WatchedShop) -> None:
    alerts: list[Alert] = [("WarrenProcessDown", "ticket", "sms"), ("WarrenBrokerDown", "ticket", "")]
    shop.harness.processes.stop("sms-2")
    shop.second_node.refuse()
    try:
        shop.alerts.wait_until_firing(*alerts)
    finally:
        shop.second_node.heal()
        shop.start_replica()
    shop.alerts.wait_until_cleared(*alerts)


def test_without_a_broker_the_outbox_fills_and_orders_are_refused(shop: WatchedShop) -> None:
    alerts: list[Alert] = [
        ("WarrenBrokerDown", "page", ""),
        ("WarrenMetricsMissing", "ticket", "rabbitmq"),
        ("WarrenMetricsMissing", "ticket", "rabbitmq-detailed"),
        ("WarrenOutboxStalled", "page", "order"),
        ("WarrenOutboxStalled", "ticket", "order"),
        ("WarrenApiErrors", "page", "order-api"),
    ]
    statuses: set[int] = set()
    shop.harness.servers.broker.stop()
    try:
        shop.alerts.wait_until_firing(
            *alerts, meanwhile=lambda: statuses.update(shop.order().status_code for _ in range(10))
        )
        assert statuses == {202, 503}
    finally:
        shop.harness.servers.broker.start()
    shop.alerts.wait_until_cleared(*alerts)


def test_the_database_is_down(shop: WatchedShop) -> None:
    alert: Alert = ("WarrenDatabaseDown", "page", "")
    shop.harness.servers.postgres.stop()
    try:
        shop.alerts.wait_until_firing(alert)
    finally:
        shop.harness.servers.postgres.start()
    shop.alerts.wait_until_cleared(alert)


@pytest.mark.parametrize(
    ("resource", "exhaust", "restore"),
    [
        (
            "memory",
            ("set_vm_memory_high_watermark", "absolute", "1MB"),
            ("set_vm_memory_high_watermark", "absolute", "2GB"),
        ),
        ("disk", ("set_disk_free_limit", "900000GB"), ("set_disk_free_limit", "200MB")),
    ],
)
def test_the_broker_has_an_alarm(
    shop: WatchedShop, resource: str, exhaust: tuple[str, ...], restore: tuple[str, ...]
) -> None:
    alert: Alert = ("WarrenBrokerAlarm", "page", resource)
    shop.harness.servers.broker.rabbitmqctl(*exhaust)
    try:
        shop.alerts.wait_until_firing(alert)
    finally:
        shop.harness.servers.broker.rabbitmqctl(*restore)
    shop.alerts.wait_until_cleared(alert)


def test_messages_are_parked(shop: WatchedShop) -> None:
    alerts: list[Alert] = [
        ("WarrenMessagesParked", "ticket", "email.dlq"),
        ("WarrenMessagesParked", "page", "email.dlq"),
    ]
    shop.harness.put_messages([("email.queue", b'{"poison": %d}' % number) for number in range(90)])
    shop.alerts.wait_until_firing(*alerts)
    shop.alerts.wait_until_cleared(alerts[1])
    assert len(shop.harness.take_bodies("email.dlq")) == 90
    shop.alerts.wait_until_cleared(*alerts)


def test_events_are_unrouted(shop: WatchedShop) -> None:
    alert: Alert = ("WarrenEventsUnrouted", "ticket", "unrouted.queue")
    shop.harness.unbind("workflow.exchange", "q", "order.queue", "shipping.delivered")
    try:
        shop.order()
        shop.alerts.wait_until_firing(alert)
    finally:
        shop.harness.restore_topology()
    assert replay_unrouted(shop.harness, "shipping.delivered", ["order.queue"]) == 1
    shop.alerts.wait_until_cleared(alert)


def test_a_queue_grows(shop: WatchedShop) -> None:
    alert: Alert = ("WarrenQueueGrowing", "ticket", "audit.queue")
    eventually(shop.harness.is_idle)
    messages = [("audit.queue", b"not an event")] * 150
    shop.harness.processes.stop("audit")
    try:
        eventually(lambda: shop.harness.queue_depth("audit.queue") == 0)
        shop.alerts.wait_until_firing(alert, meanwhile=lambda: shop.harness.put_messages(messages))
    finally:
        shop.harness.api("DELETE", "queues/{vhost}/audit.queue/contents")
        shop.harness.start_service("audit")
    shop.alerts.wait_until_cleared(alert)


def test_many_messages_wait_for_a_retry(shop: WatchedShop) -> None:
    """The customers of these orders do not confirm their payments, until they cancel the orders."""
    alert: Alert = ("WarrenRetriesWaiting", "ticket", "payment.queue")
    placed: list[str] = []

    def place() -> None:
        if len(placed) < 90:
            placed.extend(shop.order(paymentToken="tok_abandoned").json()["id"] for _ in range(3))

    shop.alerts.wait_until_firing(alert, meanwhile=place)
    for order_id in placed:
        assert shop.client.post(f"/orders/{order_id}/cancel").status_code == 202
    shop.alerts.wait_until_cleared(alert)


def test_a_circuit_breaker_is_open(shop: WatchedShop) -> None:
    alert: Alert = ("WarrenCircuitBreakerOpen", "ticket", "payment")
    gateway = shop.harness.proxy("payment to its gateway", DATABASE)
    shop.harness.restart_services(
        "payment",
        WARREN_GATEWAY_DATABASE_URL=f"postgresql://gateway@127.0.0.1:{gateway.port}/warren",
        WARREN_BREAKER_FAILURES="3",
        WARREN_BREAKER_OPEN_SECONDS="1",
        WARREN_BREAKER_MAX_OPEN_SECONDS="2",
    )
    eventually(lambda: shop.harness.consumers()["payment.queue"], 60, "payment does not consume")
    gateway.refuse()
    try:
        for _ in range(10):
            shop.order()
        shop.alerts.wait_until_firing(alert)
        gateway.heal()
        shop.alerts.wait_until_cleared(alert)
    finally:
        shop.harness.restart_services("payment")


def test_a_scheduled_message_is_late(shop: WatchedShop) -> None:
    """A transaction locks the table from before the time of a customer's reminder on."""
    alert: Alert = ("WarrenScheduledMessageOverdue", "ticket", "order")
    order_id = shop.order(paymentToken="tok_abandoned").json()["id"]
    sql = shop.harness.sql
    sql("UPDATE \"order\".scheduled SET due_at = now() + interval '3 s' WHERE subject = $1", UUID(order_id))
    sql("BEGIN")
    try:
        sql('LOCK TABLE "order".scheduled IN EXCLUSIVE MODE')
        assert sql('SELECT FROM "order".scheduled WHERE due_at > now()'), "the reminder was sent before the lock"
        shop.alerts.wait_until_firing(alert)
    finally:
        sql("ROLLBACK")
    shop.alerts.wait_until_cleared(alert)
    assert shop.client.post(f"/orders/{order_id}/cancel").status_code == 202


def test_no_sweep_has_ended_for_days(shop: WatchedShop) -> None:
    alert: Alert = ("WarrenRetentionBehind", "ticket", "order-worker")

    def set_times(due: str) -> None:
        shop.harness.sql(
            "UPDATE \"order\".retention SET finished_at = now() - interval '3 days',"
            " due_at = now() + $1::text::interval, block = 0",
            due,
        )

    set_times("1 day")
    shop.alerts.wait_until_firing(alert)
    set_times("0")
    shop.alerts.wait_until_cleared(alert)


def test_a_certificate_expires_soon(shop: WatchedShop) -> None:
    """The process of sms reaches the broker through a proxy whose certificate expires in five days."""
    alerts: list[Alert] = [
        ("WarrenCertificateExpiry", "page", "server"),
        ("WarrenCertificateExpiry", "ticket", "server"),
    ]
    authority = Certificates(shop.harness.folder / "certificates")
    certificate = authority.server("short", datetime.now(UTC) - timedelta(days=CERTIFICATE_DAYS - 5))
    proxy = shop.harness.proxies.frame_proxy(
        shop.harness.server_port(BROKER), certificate, authority.ca_file, postgres=False
    )
    shop.harness.restart_services("sms", **shop.harness.settings_via("sms", proxy, BROKER))
    try:
        shop.alerts.wait_until_firing(*alerts)
    finally:
        shop.harness.restart_services("sms")
    shop.alerts.wait_until_cleared(*alerts)


def test_a_parcel_never_arrives(shop: WatchedShop) -> None:
    """The report of its delivery is lost, and two weeks pass."""
    alert: Alert = ("WarrenOrderStuck", "ticket", "SHIPPED")
    order_id = UUID(shop.order().json()["id"])
    shop.harness.wait_for_state(order_id, "COMPLETED")
    change = (
        'UPDATE "order".orders SET state = $2::text, reached = $2::text, created_at = created_at + $3::interval'
        " WHERE id = $1"
    )
    shop.harness.sql(change, order_id, "SHIPPED", timedelta(days=-15))
    try:
        shop.alerts.wait_until_firing(alert)
    finally:
        shop.harness.sql(change, order_id, "COMPLETED", timedelta(days=15))
    shop.alerts.wait_until_cleared(alert)
