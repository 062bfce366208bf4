"""The HTTP routes of the order service."""

from bisect import bisect_right
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Controller, Request, Response, Router, get, post
from litestar.datastructures import ResponseHeader
from litestar.di import NamedDependency, Provide
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, HeaderParameter, JSONBody, QueryParameter, SkipValidation

from services.order.answers import OrderAnswer, OrderPage
from services.order.desk import Desk
from services.order.domain import State
from services.order.prices import PriceList
from services.order.requests import PlaceOrder
from services.shared.chassis.http.auth import AuthGuard, caller_of
from services.shared.chassis.http.problems import problems
from services.shared.chassis.http.trace_context import traceparent_of
from services.shared.contracts.values import SINGLE_LINE, Sku

AnyRequest = Request[Any, Any, Any]
TheDesk = NamedDependency[SkipValidation[Desk]]

IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x20-\x7e]+$(?!\n)",
        description="1 to 255 printable ASCII characters that name this request: sent again with the same body, it has"
        " no further effect and the same answer",
        required=False,
    ),
]


class Orders(Controller):
    path = "/orders"
    tags = ("orders",)

    @post(
        status_code=202,
        summary="Place an order",
        description="Answered once the order is stored. What becomes of it shows at its Location.",
        response_headers=[
            ResponseHeader(name="Location", description="where the order can be read", documentation_only=True)
        ],
        responses=problems(
            {
                403: "the token is not for this user",
                409: "the customer has another order with this orderId",
                415: "the body is not application/json",
                422: "an unknown article, too many pieces, an address that is not accepted, or an Idempotency-Key that"
                " came with another body before",
            }
        ),
    )
    async def place(
        self, request: AnyRequest, desk: TheDesk, data: JSONBody[PlaceOrder], idempotency_key: IdempotencyKey = None
    ) -> Response[OrderAnswer]:
        answer = await desk.place(caller_of(request), data, idempotency_key, traceparent_of(request.headers))
        return Response(answer, status_code=202, headers={"Location": answer.location})

    @get(
        summary="List orders",
        description="Newest first. With a token, the caller's own; `orderId` finds one by the customer's own number.",
        responses=problems({403: "the token is not for this customer"}),
    )
    async def page(
        self,
        request: AnyRequest,
        desk: TheDesk,
        limit: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
        customer: Annotated[str | None, QueryParameter(max_length=100, pattern=SINGLE_LINE)] = None,
        reference: Annotated[str | None, QueryParameter(name="orderId", max_length=100, pattern=SINGLE_LINE)] = None,
        order_state: Annotated[State | None, QueryParameter(name="state")] = None,
        cursor: Annotated[
            str | None,
            QueryParameter(max_length=100, pattern=SINGLE_LINE, description="`next` of the page before this one"),
        ] = None,
    ) -> OrderPage:
        return await desk.page(
            caller_of(request),
            limit=limit,
            customer=customer,
            reference=reference,
            state=order_state,
            cursor=cursor,
        )

    @get(
        "/{order_id:uuid}",
        summary="Read an order",
        responses=problems({404: "no such order, or somebody else's"}),
    )
    async def find(self, request: AnyRequest, desk: TheDesk, order_id: FromPath[UUID]) -> OrderAnswer:
        return await desk.find(caller_of(request), order_id)

    @post(
        "/{order_id:uuid}/cancel",
        status_code=202,
        summary="Cancel an order",
        description="Starts the cancellation; it ends in CANCELLED, or is withdrawn when the parcel turns out to have"
        " left. Repeating it changes nothing.",
        responses=problems(
            {404: "no such order, or somebody else's", 409: "too late: the parcel has left, or it is over"}
        ),
    )
    async def cancel(self, request: AnyRequest, desk: TheDesk, order_id: FromPath[UUID]) -> OrderAnswer:
        return await desk.cancel(caller_of(request), order_id, traceparent_of(request.headers))

    @post(
        "/{order_id:uuid}/delivery-confirmation",
        status_code=202,
        summary="Confirm that the parcel has arrived",
        description="Possible once the order is SHIPPED. Repeating it changes nothing.",
        responses=problems({404: "no such order, or somebody else's", 409: "the order is not SHIPPED"}),
    )
    async def confirm_delivery(self, request: AnyRequest, desk: TheDesk, order_id: FromPath[UUID]) -> OrderAnswer:
        return await desk.confirm_delivery(caller_of(request), order_id, traceparent_of(request.headers))


class Article(msgspec.Struct, frozen=True, rename="camel"):
    sku: Sku
    unit_cents: int
    """Price of one piece in the currency's smallest unit."""


class ArticlePage(msgspec.Struct, frozen=True):
    """Articles in the order of their numbers. `next` goes into `after` for the page after this one."""

    currency: str
    articles: list[Article]
    next: str | None


def articles(prices: PriceList) -> HTTPRouteHandler:
    """What can be ordered: public, as prices are, and from memory."""
    known = [Article(sku, cents) for sku, cents in sorted(prices.articles.items())]

    @get("/articles", summary="List articles and prices", tags=["articles"], security=[{}], sync_to_thread=False)
    def page(
        limit: Annotated[int, QueryParameter(ge=1, le=500)] = 100,
        after: Annotated[
            str, QueryParameter(max_length=64, pattern=SINGLE_LINE, description="`next` of the page before this one")
        ] = "",
    ) -> ArticlePage:
        first = bisect_right(known, after, key=lambda article: article.sku)
        found = known[first : first + limit]
        return ArticlePage(prices.currency, found, found[-1].sku if first + limit < len(known) else None)

    return page


def routes(desk: Desk, guard: AuthGuard) -> Router:
    return Router(
        path="/",
        route_handlers=[Orders],
        guards=[guard],
        dependencies={"desk": Provide(lambda: desk, sync_to_thread=False)},
    )
