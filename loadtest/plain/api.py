"""The order API of the plain implementation: one transaction for each request."""

from typing import Annotated, Any

import msgspec
import uvicorn
from litestar import Litestar, Response, get, post
from litestar.exceptions import ClientException
from litestar.params import JSONBody
from uuid_utils.compat import uuid7

from loadtest.plain.service import PlainService
from services.shared.contracts.orders import Line, OrderCreated

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class PlainItem(msgspec.Struct, frozen=True):
    sku: str
    quantity: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1


class PlainOrderRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    user: Name
    items: Annotated[list[PlainItem], msgspec.Meta(min_length=1, max_length=100)]
    reference: Name | None = msgspec.field(name="orderId", default=None)
    payment_token: str = "tok_ok"  # noqa: S105 - not a secret


class PlainPrices(msgspec.Struct, frozen=True):
    currency: str
    articles: dict[str, int]


async def run() -> None:
    service = PlainService("order-api", user="order")
    prices = msgspec.json.decode(service.settings.prices_file.read_bytes(), type=PlainPrices)

    @post("/orders", status_code=202)
    async def place(data: JSONBody[PlainOrderRequest]) -> Response[dict[str, Any]]:
        if unknown := [item.sku for item in data.items if item.sku not in prices.articles]:
            raise ClientException(f"there is no article {unknown[0]!r}")
        order_id = uuid7()
        lines = [Line(item.sku, item.quantity) for item in data.items]
        total = sum(item.quantity * prices.articles[item.sku] for item in data.items)
        created = OrderCreated(
            customer=data.user,
            lines=lines,
            total_cents=total,
            currency=prices.currency,
            payment_token=data.payment_token,
        )
        async with service.pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "INSERT INTO orders (id, customer, reference, lines, total_cents, currency)"
                " VALUES ($1, $2, $3, $4, $5, $6)",
                order_id,
                data.user,
                data.reference,
                msgspec.json.encode(lines).decode(),
                total,
                prices.currency,
            )
            await service.publish(connection, created, order_id, None)
        response = {
            "id": order_id,
            "orderId": data.reference,
            "customer": data.user,
            "state": "PENDING",
            "lines": lines,
            "totalCents": total,
            "currency": prices.currency,
        }
        return Response(response, status_code=202, headers={"Location": f"/orders/{order_id}"})

    @get("/livez", sync_to_thread=False)
    def livez() -> str:
        return "ok"

    application = Litestar([place, livez], openapi_config=None)
    config = uvicorn.Config(
        application, host="127.0.0.1", port=service.settings.http_port, log_level="warning", access_log=False
    )
    await service.run({}, uvicorn.Server(config).serve)
