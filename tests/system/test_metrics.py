"""Every documented series is on a live page with its labels, no other one is, and traffic adds none."""

import secrets
import ssl
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from cryptography import x509
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families

from devtools.local.system import System
from services.registry import PROCESSES
from services.shared.contracts import CATALOGUE
from tests.system.metric_pages import (
    OPENMETRICS,
    Series,
    all_series,
    documented,
    families,
    label_names,
    page,
    series_name,
)
from tests.system.shop import Shop
from warren.client import ApiClient, OrderView
from warren.http import basic_auth
from warren_messaging.failure import FailureReason

ENDS = ("COMPLETED", "CANCELLED")
KINDS = (
    {},
    {"express": True},
    {"items": ["sold-out"]},
    {"paymentToken": "tok_declined"},
    {"contact": {"email": "ada@mail.example", "phone": "+999400170555"}},
)
"""Orders with different events and ends."""


@pytest.fixture(scope="module")
def warm(system: System, client: ApiClient) -> None:
    """Every event type and outcome was there once."""
    everything_once(Shop(system, client))


def everything_once(shop: Shop) -> None:
    confirmed = shop.place("item1")
    orders = [place(shop, kind, "warm") for kind in KINDS] + [confirmed]
    tokens = ("tok_abandoned", "tok_lost_answer", "tok_flaky")
    orders += [shop.place("item1", paymentToken=token) for token in tokens]
    cancelled = shop.place("item1", paymentToken="tok_abandoned")
    shop.reaches(cancelled, "CONFIRMED")
    shop.client.cancel(cancelled.id)
    paid = shop.place("item1")
    shop.reaches(paid, "PAID")
    shop.client.cancel(paid.id)
    shop.reaches(confirmed, "SHIPPED", "COMPLETED")
    shop.client.confirm_delivery(confirmed.id)
    for order in [*orders, cancelled, paid]:
        shop.reaches(order, *ENDS, seconds=60)
    odd_requests(shop)
    hostile_messages(shop, 3)
    settled(shop)


def place(shop: Shop, kind: dict[str, object], user: str) -> OrderView:
    fields = dict(kind)
    items = fields.pop("items", ["item1"])
    assert isinstance(items, list)
    return shop.place(*items, user=user, **fields)


def odd_requests(shop: Shop) -> None:
    """Requests whose path, method, query or body a client has chosen freely."""
    url = shop.system.url("order-api")
    mark = secrets.token_hex(4)
    with httpx.Client() as client:
        for method, path in (
            ("GET", f"/{mark}"),
            ("GET", f"/orders/{mark}"),
            ("GET", f"/orders/{mark}/{mark}"),
            ("GET", f"/orders?customer={mark}"),
            (mark.upper(), "/orders"),
            ("DELETE", "/orders"),
        ):
            client.request(method, f"{url}{path}")
        client.post(f"{url}/orders", content=mark)


def hostile_messages(shop: Shop, count: int) -> None:
    """Messages with routing keys and types that no service knows, on the ways that all of them listen to."""
    broker = shop.system.servers.broker.endpoints
    tls = ssl.create_default_context(cafile=broker.ca_file)
    with httpx.Client(headers=basic_auth(*broker.login), verify=tls) as client:
        for _ in range(count):
            key = f"order.{secrets.token_hex(8)}"
            body = f'{{"specversion": "1.0", "type": "{key}"}}'
            for exchange, routing_key in (("order.exchange", key), ("redrive.exchange", "audit.queue")):
                message = {"routing_key": routing_key, "payload": body, "payload_encoding": "string", "properties": {}}
                url = f"{broker.management_url}/api/exchanges/orders/{exchange}/publish"
                client.post(url, json=message).raise_for_status()
        # Only audit takes an event of any type: the others find them among the unrouted ones, where none may stay.
        unrouted = f"{broker.management_url}/api/queues/orders/unrouted.queue"
        deadline = time.monotonic() + 30
        while client.get(unrouted).json().get("messages", 0) < count:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        client.delete(f"{unrouted}/contents").raise_for_status()


def settled(shop: Shop) -> None:
    """Wait until no process has work: then its counters do not change."""

    def busy() -> float:
        return sum(
            sample.value
            for process in PROCESSES
            for family in families(shop.system, process)
            for sample in family.samples
            if sample.name in {"warren_messages_in_progress", "warren_outbox_events"}
        )

    deadline = time.monotonic() + 60
    while busy():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.usefixtures("warm")
def test_every_documented_series_is_on_a_page_with_its_labels_and_no_other_one(system: System) -> None:
    found: dict[str, tuple[str, set[frozenset[str]]]] = {}
    for process in PROCESSES:
        for family in families(system, process):
            for sample in family.samples:
                if not sample.name.startswith(("python_", "process_")):
                    _, labels = found.setdefault(series_name(family, sample), (family.type, set()))
                    labels.add(label_names(sample))
    found.pop("http_requests_error_total", None)  # there is one after the first answer 5xx, which other tests cause
    expected = {each.series: (each.kind, {each.labels}) for each in documented().values()}
    assert found == expected


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize("process", PROCESSES)
def test_a_page_is_openmetrics_if_the_scraper_asks_for_it_and_has_the_same_series(system: System, process: str) -> None:
    plain, openmetrics = page(system, process), page(system, process, OPENMETRICS)
    assert plain.headers["content-type"].startswith("text/plain")
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    names = {sample.name for family in openmetrics_families(openmetrics.text) for sample in family.samples}
    assert names == {sample.name for family in families(system, process) for sample in family.samples}


def test_exemplars_name_the_trace_of_the_order(system: System, shop: Shop) -> None:
    trace = secrets.token_hex(16)
    order = httpx.post(
        f"{system.url('order-api')}/orders",
        json={"user": "ada", "items": ["item1"]},
        headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"},
    ).json()
    shop.accepted.append(shop.client.find(order["id"]).id)
    shop.reaches(shop.client.find(order["id"]), "COMPLETED")

    def traces(process: str, name: str, **labels: str) -> set[str]:
        return {
            sample.exemplar.labels["trace_id"]
            for family in openmetrics_families(page(system, process, OPENMETRICS).text)
            for sample in family.samples
            if sample.name == name and sample.exemplar and labels.items() <= sample.labels.items()
        }

    published, processed = "order.exchange:order.created", "order.exchange:order.created:inventory.queue"
    assert trace in traces("order-api", "warren_orders_accepted_total")
    assert trace in traces(
        "order-api", "messaging_client_operation_duration_seconds_bucket", messaging_destination_name=published
    )
    assert trace in traces(
        "inventory",
        "messaging_process_duration_seconds_bucket",
        messaging_destination_name=processed,
    )
    assert trace in traces("order-worker", "warren_order_step_duration_seconds_bucket", step="paid")


def test_every_process_knows_when_the_certificates_expire(system: System) -> None:
    broker = system.servers.broker.endpoints
    ca = x509.load_pem_x509_certificate(broker.ca_file.read_bytes()).not_valid_after_utc.timestamp()
    for process in PROCESSES:
        found = {
            (sample.labels["server"], sample.labels["certificate"]): sample.value
            for family in families(system, process)
            for sample in family.samples
            if sample.name == "warren_certificate_expiry_timestamp_seconds"
        }
        assert set(found) == {(server, kind) for server in ("broker", "database") for kind in ("server", "ca")}
        assert found["broker", "ca"] == ca
        assert all(time.time() < value for value in found.values())


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize(
    ("orders", "customers"),
    [(200, 50), pytest.param(10_000, 1_000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])],
)
def test_orders_customers_and_hostile_names_add_no_series(
    system: System, shop: Shop, orders: int, customers: int
) -> None:
    before = all_series(system)

    def one(number: int) -> OrderView:
        name = f'{secrets.token_hex(3)}-\u00e9\u4e2d"{{}}\\{number % customers}'
        return place(shop, KINDS[number % len(KINDS)], name)

    with ThreadPoolExecutor(16) as pool:
        placed = list(pool.map(one, range(orders)))
    odd_requests(shop)
    hostile_messages(shop, 10)
    for order in placed:
        shop.reaches(order, *ENDS, seconds=300)
    settled(shop)
    known = words(before) | CATALOGUE.keys() | set(FailureReason)
    added = all_series(system) - before
    assert {each for each in added if not words([each]) <= known} == set()
    # A slow machine can bring an outcome that the first orders did not have, such as a retry; never one for each order.
    assert len(added) < len(before) / 10


def words(series: Iterable[Series]) -> set[str]:
    """Return the parts of all label values: a destination consists of exchange, type and queue."""
    return {
        word
        for _, name, labels in series
        if not name.startswith(("python_", "process_"))
        for _, value in labels
        for word in value.split(":")
    }
