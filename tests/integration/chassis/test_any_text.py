"""Random text in every parameter of every service, derived from the OpenAPI documents, never causes a 5xx. The services
refuse exactly the values that the documents forbid."""

import json
import random
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import quote

import httpx
import jsonschema
import pytest
from litestar import Litestar
from litestar.types import ControllerRouterHandler

from services.audit.api import routes as audit_routes
from services.audit.queries import AuditQueries
from services.inventory import api as inventory_api
from services.inventory.restock_store import RestockStore
from services.order.settings import ApiSettings
from services.shared.chassis.http.application import application
from services.shared.chassis.http.auth import STAFF, AuthGuard
from tests.conftest import SEED
from tests.integration.order.conftest import OrderApi
from tests.service_replica import Replica, ServiceDatabase
from tests.services import database_fixture, settings_of
from warren_messaging.postgres.database import Database

ROUNDS = 40  # requests for each operation
HOSTILE = [
    *("\x00", "\x1b[2J", "\x7f", "\x85", "\x9b", "\u2028", "\u202e", "\u2066", "\ufffd", "\ud800", "\udfff", "\uffff"),
    *("", " ", "null", "true", "NaN", "-0", "1e400", "9" * 30, "0.5", "-1", "1_0", "\u0661", "a" * 3000, "\U0001f600"),
    *("'", '"', "\\", "%", "%s", "..", "../..", "$1", "*", "\ufeff", "İ", "ß", "\u0000a", "2026-02-30T00:00:00Z"),
    *("00000000-0000-0000-0000-000000000000", "{}", "[]", "tok_ok", "item1", "ada@example.org", "+94112345678"),
]


db = database_fixture("order", "inventory", "audit")


@pytest.fixture
async def apps(db: ServiceDatabase) -> AsyncIterator[list[Litestar]]:
    async with AsyncExitStack() as stack:
        databases = {}
        for service in ("order", "inventory", "audit"):
            databases[service] = database = Database(db.address(service))
            await database.open()
            stack.push_async_callback(database.close)
        settings = settings_of(ApiSettings, auth="local")
        guard = AuthGuard(settings, role=STAFF)
        stock: list[ControllerRouterHandler] = [inventory_api.routes(RestockStore(databases["inventory"]), guard)]
        yield [
            OrderApi(db, Replica("order", databases["order"], {}, None), settings).app,
            application(stock, title="inventory"),
            application(audit_routes(AuditQueries(databases["audit"]), guard), title="audit"),
        ]


class RandomValues:
    """Random values from a seed."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)

    def text(self) -> str:
        kind = self.random.randrange(4)
        if kind == 0:
            return self.random.choice(HOSTILE)
        if kind == 1:
            return "".join(self.random.choice(HOSTILE)[:20] for _ in range(self.random.randrange(4)))
        ranges = [(0, 0x100), (0x20, 0x7F), (0, 0x3000), (0, 0x110000)]
        low, high = self.random.choice(ranges)
        return "".join(chr(self.random.randrange(low, high)) for _ in range(self.random.randrange(12)))

    def value(self, depth: int = 0) -> Any:
        kind = self.random.randrange(8 if depth < 3 else 6)
        if kind == 6:
            return [self.value(depth + 1) for _ in range(self.random.randrange(3))]
        if kind == 7:
            return {self.text(): self.value(depth + 1) for _ in range(self.random.randrange(3))}
        return self.random.choice([self.text(), self.text(), None, True, -1, 0.5, 1 << 70])

    def body(self, schema: dict[str, Any]) -> bytes:
        """A JSON object with some of the documented members, in UTF-8 that may be invalid."""
        names = list(schema["properties"])
        content = {name: self.value() for name in names if self.random.random() < 0.7}
        if "items" in content:
            content["items"] = [
                self.random.choice(["mug", self.text(), {"sku": self.text(), "quantity": self.value()}])
            ]
        if "contact" in content:
            content["contact"] = {"email": self.text(), "phone": self.text()}
        encoded = (
            str(content).replace("'", '"') if self.random.random() < 0.1 else json.dumps(content, ensure_ascii=False)
        )
        return encoded.encode("utf-8", "surrogatepass")


def client_of(app: Litestar) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=transport, base_url="http://any")


def operations(app: Litestar) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in app.state["document"]["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def header(text: str) -> bytes:
    """Encode a header without the control characters that a server refuses."""
    return re.sub(rb"[\x00-\x08\x0a-\x1f\x7f]", b"", text.encode("utf-8", "surrogatepass")).strip()


async def test_random_text_in_any_parameter_causes_no_server_error(apps: list[Litestar]) -> None:
    counts: dict[int, int] = {}
    for app in apps:
        async with client_of(app) as client:
            for method, path, operation in operations(app):
                values = RandomValues(f"{SEED} {method} {path}")
                for _ in range(ROUNDS):
                    await one_request(client, method, path, operation, app.state["document"], values, counts)
    assert counts.get(400, 0) > 100, counts
    assert len(counts) > 2, counts


async def one_request(
    client: httpx.AsyncClient,
    method: str,
    path: str,
    operation: dict[str, Any],
    document: dict[str, Any],
    values: RandomValues,
    counts: dict[int, int],
) -> None:
    query, headers = [], []
    for parameter in operation.get("parameters") or []:
        text = values.text()
        if parameter["in"] == "path":
            raw = quote(text.encode("utf-8", "surrogatepass"), safe="") or "x"
            path = path.replace(f"{{{parameter['name']}}}", "%2e" if raw in {".", ".."} else raw)
        elif parameter["in"] == "query" and values.random.random() < 0.5:
            query.append(f"{parameter['name']}={quote(text.encode('utf-8', 'surrogatepass'))}")
        elif parameter["in"] == "header" and values.random.random() < 0.5:
            headers.append((parameter["name"].encode(), header(text)))
    if values.random.random() < 0.3:
        headers += [(name, header(values.text())) for name in (b"traceparent", b"authorization", b"accept")]
    content = b""
    if body := operation.get("requestBody"):
        schema = body["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
        content = values.body(document["components"]["schemas"][schema])
        headers.append((b"content-type", b"application/json"))
    response = await client.request(method, f"{path}?{'&'.join(query)}", headers=headers, content=content)
    counts[response.status_code] = counts.get(response.status_code, 0) + 1
    assert response.status_code < 500, (method, path, query, headers, content, response.text)
    if response.status_code >= 400:
        assert response.headers["content-type"] == "application/problem+json"
        assert str(response.status_code) in operation["responses"] or response.status_code == 404, (path, response.text)


BODIES: list[tuple[str, str, Any]] = [
    ("/orders", "PlaceOrder", {"user": "ada", "items": ["mug"]}),
    ("/orders", "PlaceOrder", {"user": "ada", "items": [{"sku": "mug", "quantity": 2}], "express": True}),
    ("/orders", "PlaceOrder", {"user": "ada", "items": ["no such thing"]}),
    ("/orders", "PlaceOrder", {"user": "ada", "items": [{"sku": "a b"}]}),
    ("/orders", "PlaceOrder", {"user": "ada", "items": [{"sku": "mug", "quantity": "1"}]}),
    ("/orders", "PlaceOrder", {"user": "ada", "items": ["mug"], "express": 1}),
    ("/orders", "PlaceOrder", {"user": "ada", "items": ["mug"], "total": 1}),
    ("/orders", "PlaceOrder", {"user": "a\x85b", "items": ["mug"]}),
    ("/orders", "PlaceOrder", {"user": "ada", "items": ["mug"], "orderId": "a\u202eb"}),
    ("/orders", "PlaceOrder", {"user": "ada", "items": ["mug"], "orderId": "\U0001f600 \u05d0"}),
    ("/orders", "PlaceOrder", {"user": "ada", "items": ["mug"], "contact": {"fax": "1"}}),
    ("/stock/mug/restock", "RestockRequest", {"quantity": 1}),
    ("/stock/mug/restock", "RestockRequest", {"quantity": 0}),
    ("/stock/mug/restock", "RestockRequest", {"quantity": True}),
    ("/stock/mug/restock", "RestockRequest", {"quantity": 1.5}),
    ("/stock/mug/restock", "RestockRequest", {"quantity": 1, "colour": "red"}),
]


async def test_a_body_is_refused_where_the_document_forbids_it(apps: list[Litestar]) -> None:
    for path, name, body in BODIES:
        app = apps[0] if name == "PlaceOrder" else apps[1]
        components = app.state["document"]["components"]
        schema = {"$ref": f"#/components/schemas/{name}", "components": components}
        async with client_of(app) as client:
            response = await client.post(path, json=body)
        # 422 is for what the document cannot express, such as an unknown article.
        assert (response.status_code != 400) == jsonschema.Draft202012Validator(schema).is_valid(body), (
            body,
            response.text,
        )


QUERIES = [
    ("/orders", "state", "PAID"),
    ("/orders", "state", "null"),
    ("/orders", "state", "paid"),
    ("/orders", "limit", "1.0"),
    ("/orders", "customer", "a\x9b"),
    ("/orders", "customer", "null"),
    ("/orders", "orderId", "a\u2067"),
    ("/stock", "after", "a\x00"),
    ("/audit/events", "since", "0.5"),
    ("/audit/events", "since", "2026-01-31T12:00:00Z"),
    ("/audit/events", "type", "\x1b"),
    ("/audit/events", "order", "null"),
    ("/audit/gaps", "since", "null"),
]


async def test_a_query_is_refused_where_the_document_forbids_it(apps: list[Litestar]) -> None:
    for path, name, value in QUERIES:
        app = next(app for app in apps if path in app.state["document"]["paths"])
        document = app.state["document"]
        parameters = document["paths"][path]["get"]["parameters"]
        schema = next(each["schema"] for each in parameters if each["name"] == name)
        given = int(value) if schema.get("type") == "integer" and re.fullmatch("[0-9]+", value) else value
        schema = schema | {"components": document["components"]}
        async with client_of(app) as client:
            response = await client.get(path, params={name: value})
        assert (response.status_code == 200) == jsonschema.Draft202012Validator(schema).is_valid(given), response.text
