"""The intake: one request, one transaction."""

from typing import Annotated, Any

import msgspec
import uvicorn
from litestar import Litestar, Response, get, post
from litestar.exceptions import ClientException
from litestar.params import JSONBody
from uuid_utils.compat import uuid7

from loadtest.plain.service import Service
from services.shared.contracts.orders import Line, OrderCreated

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class Item(msgspec.Struct, frozen=True):
    sku: str
    quantity: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1


class PlaceOrder(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    user: Name
    items: Annotated[list[Item], msgspec.Meta(min_length=1, max_length=100)]
    order_id: Name | None = None
    payment_token: str = "tok_ok"  # noqa: S105 - a name for a means of payment


class PriceList(msgspec.Struct, frozen=True):
    currency: str
    articles: dict[str, int]


async def run() -> None:
    service = Service("order-api", user="order")
    prices = msgspec.json.decode(service.settings.prices_file.read_bytes(), type=PriceList)

    @post("/orders", status_code=202)
    async def place(data: JSONBody[PlaceOrder]) -> Response[dict[str, Any]]:
        if unknown := [item.sku for item in data.items if item.sku not in prices.articles]:
            raise ClientException(f"there is no article {unknown[0]!r}")
        identity = uuid7()
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
                identity,
                data.user,
                data.order_id,
                msgspec.json.encode(lines).decode(),
                total,
                prices.currency,
            )
            await service.announce(connection, created, identity, None)
        answer = {
            "id": identity,
            "orderId": data.order_id,
            "customer": data.user,
            "state": "PENDING",
            "lines": lines,
            "totalCents": total,
            "currency": prices.currency,
        }
        return Response(answer, status_code=202, headers={"Location": f"/orders/{identity}"})

    @get("/livez", sync_to_thread=False)
    def livez() -> str:
        return "ok"

    application = Litestar([place, livez], openapi_config=None)
    config = uvicorn.Config(
        application, host="127.0.0.1", port=service.settings.http_port, log_level="warning", access_log=False
    )
    await service.run({}, uvicorn.Server(config).serve)
