"""The order service's HTTP API, as its customers use it: the command line, the demo, the tests."""

import os
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import httpx
import msgspec

from warren.local.instance import Instance

DEFAULT_URL = "http://127.0.0.1:8080"
FINAL = {"COMPLETED", "CANCELLED"}


class ClientError(Exception):
    """A request failed; the text is for the person who made it. `status` is the answer's, if there was an answer."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


class Order(msgspec.Struct, rename="camel", frozen=True):
    """An order as the service shows it."""

    id: UUID
    order_id: str | None
    customer: str
    state: str
    reason: str | None
    total_cents: int
    currency: str
    version: int
    created_at: str
    tracking: str | None = None
    lines: list[dict[str, Any]] = []

    @property
    def name(self) -> str:
        return self.order_id or str(self.id)

    @property
    def total(self) -> str:
        return f"{self.total_cents / 100:.2f} {self.currency}"

    @property
    def shown_state(self) -> str:
        return f"{self.state} ({self.reason})" if self.reason else self.state


def default_url() -> str:
    """$WARREN_URL, else where `warren up` of this checkout runs, else port 8080."""
    if url := os.environ.get("WARREN_URL"):
        return url.rstrip("/").removesuffix("/orders")
    state = Instance("up").state
    if state is not None and "orders" in state.urls:
        return state.urls["orders"].removesuffix("/orders")
    return DEFAULT_URL


class Client:
    """Blocking client. The bearer token is `token`, else $WARREN_TOKEN, else none."""

    def __init__(self, url: str | None = None, token: str | None = None) -> None:
        self.url = url or default_url()
        token = token or os.environ.get("WARREN_TOKEN")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            self._http = httpx.Client(base_url=self.url, headers=headers, timeout=30)
        except httpx.InvalidURL as error:
            raise ClientError(f"{self.url!r} is no address of an order service: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def place(self, body: dict[str, Any], key: str | None = None) -> Order:
        headers = {"Idempotency-Key": key} if key else {}
        return self._order(self._request("POST", "/orders", json=body, headers=headers))

    def find(self, name: str, customer: str | None = None) -> Order:
        """By id, or by the customer's own number. Raises ClientError when that is not one order."""
        try:
            return self._order(self._request("GET", f"/orders/{UUID(name)}"))
        except ValueError:
            found = self.list(reference=name, customer=customer)
        if len(found) != 1:
            what = "no order" if not found else f"{len(found)} customers have an order"
            raise ClientError(f"{what} {name!r}" + ("; name one with --user" if found else f" at {self.url}"))
        return found[0]

    def list(
        self,
        *,
        state: str | None = None,
        customer: str | None = None,
        reference: str | None = None,
        limit: int = 20,
    ) -> list[Order]:
        wanted = {"state": state, "customer": customer, "orderId": reference, "limit": limit}
        parameters = {name: value for name, value in wanted.items() if value is not None}
        answer = self._request("GET", "/orders", params=parameters)
        return msgspec.convert(answer.json()["orders"], list[Order])

    def cancel(self, order: UUID) -> Order:
        return self._order(self._request("POST", f"/orders/{order}/cancel"))

    def confirm_delivery(self, order: UUID) -> Order:
        return self._order(self._request("POST", f"/orders/{order}/delivery-confirmation"))

    @staticmethod
    def _order(answer: httpx.Response) -> Order:
        try:
            return msgspec.convert(answer.json(), Order)
        except (ValueError, msgspec.ValidationError) as error:
            raise ClientError(
                f"{answer.request.url} answered {answer.status_code} and no order: is this Warren's order service?",
                answer.status_code,
            ) from error

    def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise ClientError(
                f"no order service at {self.url} ({str(error) or type(error).__name__}). Start one with `warren up`,"
                " or name it with --url or WARREN_URL."
            ) from error
        if answer.is_error:
            raise ClientError(_problem(answer), answer.status_code)
        return answer


def _problem(answer: httpx.Response) -> str:
    try:
        body = answer.json()
        return f"{body['title']} ({answer.status_code}): {body['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"{answer.request.url} answered {answer.status_code}"
