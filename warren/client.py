"""A client of the HTTP APIs, for the command line, the demo and the tests."""

import json
import os
import re
from typing import Any, Self, TypeVar
from urllib.parse import urlencode
from uuid import UUID

import msgspec

from warren.errors import ClientError
from warren.http import HttpResponse, NoResponse, request
from warren.local_system import running_instance

T = TypeVar("T")

DEFAULT_URL = "http://127.0.0.1:8080"
FINAL_STATES = {"COMPLETED", "CANCELLED"}
SHORT_ID = 8  # hexadecimal digits: the last ones, since orders of one minute share their first


class OrderView(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """An order as the order API returns it."""

    id: UUID
    reference: str | None = msgspec.field(name="orderId")
    """The customer's own number."""
    customer: str
    state: str
    reason: str | None
    total_cents: int
    currency: str
    express: bool = False
    version: int
    created_at: str
    updated_at: str | None = None
    tracking: str | None = None
    lines: list[dict[str, Any]] = []

    @property
    def name(self) -> str:
        return self.reference or str(self.id)

    @property
    def short_id(self) -> str:
        return self.id.hex[-SHORT_ID:]

    @property
    def total(self) -> str:
        return f"{self.total_cents / 100:.2f} {self.currency}"

    @property
    def shown_state(self) -> str:
        return f"{self.state} ({self.reason})" if self.reason else self.state


def default_url() -> str:
    """Return $WARREN_URL, else the address of the running `warren up`, else port 8080."""
    if url := os.environ.get("WARREN_URL"):
        return url.rstrip("/").removesuffix("/orders")
    return (_running("orders") or DEFAULT_URL).removesuffix("/orders")


def default_audit_url() -> str | None:
    """Return $WARREN_AUDIT_URL, else the address of the running `warren up` unless $WARREN_URL names a system."""
    if url := os.environ.get("WARREN_AUDIT_URL"):
        return url.rstrip("/")
    url = None if os.environ.get("WARREN_URL") else _running("audit")
    return url and url.removesuffix("/audit/events")


def default_traces_url(orders_url: str | None = None) -> str | None:
    """Return $WARREN_TRACES_URL, else the trace store of the running `warren up`.

    None if `orders_url` or $WARREN_URL names another system.
    """
    if url := os.environ.get("WARREN_TRACES_URL"):
        return url.rstrip("/")
    url = None if orders_url or os.environ.get("WARREN_URL") else _running("traces")
    return url and url.removesuffix("/api/services")


def _running(name: str) -> str | None:
    instance = running_instance()
    state = None if instance is None else instance.state
    return None if state is None else state.urls.get(name)


class ApiClient:
    """Blocking client. The bearer token is `token`, else $WARREN_TOKEN, else none."""

    def __init__(self, url: str | None = None, token: str | None = None) -> None:
        self.url = (url or default_url()).rstrip("/")
        self._audit_url = None if url else default_audit_url()
        token = token or os.environ.get("WARREN_TOKEN")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: no connection stays open between requests."""

    def place(self, body: dict[str, Any], key: str | None = None) -> OrderView:
        headers = {"Idempotency-Key": key} if key else {}
        return self._order("POST", "/orders", body, headers)

    def find(self, name: str, customer: str | None = None) -> OrderView:
        """Find an order by its id, its reference, or the last digits of its id among the newest hundred.

        Raises ClientError unless exactly one order matches.
        """
        try:
            return self._order("GET", f"/orders/{UUID(name)}")
        except ValueError:
            found = self.list(reference=name, customer=customer)
        if not found and re.fullmatch(rf"[0-9a-f]{{{SHORT_ID},}}", name):
            found = [order for order in self.list(customer=customer, limit=100) if order.id.hex.endswith(name)]
        if len(found) != 1:
            what = "no order" if not found else f"{len(found)} customers have an order"
            raise ClientError(f"{what} {name!r}" + ("; name one with --customer" if found else f" at {self.url}"))
        return found[0]

    def history(self, order_id: UUID) -> "list[HistoryEntry] | None":
        """Return the order's events by time, from the audit service; None if its address is unknown."""
        if self._audit_url is None:
            return None
        response = self._request("GET", f"{self._audit_url}/audit/orders/{order_id}")
        return [entry.event for entry in _read(response, _History, "history", "audit").events]

    def list(
        self,
        *,
        state: str | None = None,
        customer: str | None = None,
        reference: str | None = None,
        limit: int = 20,
    ) -> list[OrderView]:
        wanted = {"state": state, "customer": customer, "orderId": reference, "limit": limit}
        parameters = {name: value for name, value in wanted.items() if value is not None}
        return _read(self._request("GET", f"{self.url}/orders?{urlencode(parameters)}"), _OrderPage, "orders").orders

    def cancel(self, order_id: UUID) -> OrderView:
        return self._order("POST", f"/orders/{order_id}/cancel")

    def confirm_delivery(self, order_id: UUID) -> OrderView:
        return self._order("POST", f"/orders/{order_id}/delivery-confirmation")

    def _order(
        self, method: str, path: str, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> OrderView:
        return _read(self._request(method, self.url + path, body, headers), OrderView, "order")

    def _request(
        self, method: str, url: str, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> HttpResponse:
        content = None if body is None else json.dumps(body).encode()
        kind = {} if body is None else {"Content-Type": "application/json"}
        try:
            response = request(method, url, body=content, headers=self._headers | kind | (headers or {}))
        except NoResponse as error:
            raise ClientError(
                f"no response from {url} ({error}). Start the system with `warren up`, or name it with --url or"
                " WARREN_URL."
            ) from error
        if response.is_error:
            raise ClientError(_problem(response), response.status)
        return response


class _OrderPage(msgspec.Struct):
    orders: list[OrderView]


class HistoryEntry(msgspec.Struct, frozen=True):
    """One event about an order. Times are of ISO 8601."""

    time: str
    type: str
    source: str
    id: str = ""
    traceparent: str | None = None
    """The trace context in which the event was announced."""


class _Recorded(msgspec.Struct):
    event: HistoryEntry


class _History(msgspec.Struct):
    events: list[_Recorded]


def _read(response: HttpResponse, kind: type[T], what: str, service: str = "order") -> T:
    try:
        return msgspec.json.decode(response.body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ClientError(
            f"{response.url} answered {response.status} and no {what}: is this Warren's {service} service?",
            response.status,
        ) from error


def _problem(response: HttpResponse) -> str:
    try:
        body = json.loads(response.body)
        return f"{body['title']} ({response.status}): {body['detail']}"
    except (ValueError, KeyError, TypeError, RecursionError):
        return f"{response.url} answered {response.status}"
