"""The HTTP API of the order service."""

from bisect import bisect_right
from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Controller, Request, Response, Router, get, post
from litestar.datastructures import ResponseHeader
from litestar.di import NamedDependency, Provide
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody, QueryParameter, SkipValidation

from services.order import errors
from services.order.domain import OrderState
from services.order.prices import PriceList
from services.order.queries import OrderFilter
from services.order.requests import PlaceOrder
from services.order.responses import OrderPage, OrderResponse
from services.order.service import OrderService
from services.shared.chassis.http.application import http_error_response
from services.shared.chassis.http.auth import AuthGuard, caller_of
from services.shared.chassis.http.parameters import AfterArticle, ArticleLimit, IdempotencyKey
from services.shared.chassis.http.problems import ProblemException, problem_responses
from services.shared.chassis.http.trace_context import traceparent_of
from services.shared.chassis.tracing import set_order
from services.shared.contracts.values import SINGLE_LINE, Sku

AnyRequest = Request[Any, Any, Any]
Service = NamedDependency[SkipValidation[OrderService]]

PROBLEMS: Mapping[type[errors.OrderError], tuple[int, str]] = {
    errors.CustomerMissing: (422, "No customer"),
    errors.CustomerForbidden: (403, "Forbidden"),
    errors.UnknownArticle: (422, "Unknown article"),
    errors.TooManyPieces: (422, "Too many pieces"),
    errors.InvalidAddress: (422, "Address not accepted"),
    errors.InvalidCursor: (400, "Bad request"),
    errors.IdempotencyKeyReused: (422, "Idempotency-Key reused"),
    errors.ReferenceTaken: (409, "Reference taken"),
    errors.OrderNotFound: (404, "Not found"),
    errors.CancellationTooLate: (409, "Too late to cancel"),
    errors.DeliveryNotConfirmable: (409, "Nothing to confirm"),
}


class OrderController(Controller):
    path = "/orders"
    tags = ("orders",)

    @post(
        status_code=202,
        summary="Place an order",
        description="Responds when the order is stored. Its Location shows its progress.",
        response_headers=[
            ResponseHeader(name="Location", description="where the order can be read", documentation_only=True)
        ],
        responses=problem_responses(
            {
                403: "the token is not for this user",
                409: "the customer has another order with this orderId",
                415: "the body is not application/json",
                422: "an unknown article, too many pieces, an address that is not accepted, or an Idempotency-Key that"
                " was used before with another body",
            }
        ),
    )
    async def place(
        self, request: AnyRequest, service: Service, data: JSONBody[PlaceOrder], idempotency_key: IdempotencyKey = None
    ) -> Response[OrderResponse]:
        order = await service.place(caller_of(request), data, idempotency_key, traceparent_of(request.headers))
        set_order(order.order_id)
        return Response(order, status_code=202, headers={"Location": order.location})

    @get(
        summary="List orders",
        description="Newest first. With a token, only the caller's orders; `orderId` filters by the customer's"
        " reference.",
        responses=problem_responses({403: "the token is not for this customer"}),
    )
    async def page(
        self,
        request: AnyRequest,
        service: Service,
        limit: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
        customer: Annotated[str | None, QueryParameter(max_length=100, pattern=SINGLE_LINE)] = None,
        reference: Annotated[str | None, QueryParameter(name="orderId", max_length=100, pattern=SINGLE_LINE)] = None,
        order_state: Annotated[OrderState | None, QueryParameter(name="state")] = None,
        cursor: Annotated[
            str | None, QueryParameter(max_length=100, pattern=SINGLE_LINE, description="`next` of the previous page")
        ] = None,
    ) -> OrderPage:
        return await service.page(caller_of(request), OrderFilter(limit, customer, reference, order_state, cursor))

    @get(
        "/{order_id:uuid}",
        summary="Read an order",
        responses=problem_responses({404: "no such order, or another customer's"}),
    )
    async def find(self, request: AnyRequest, service: Service, order_id: FromPath[UUID]) -> OrderResponse:
        set_order(order_id)
        return await service.find(caller_of(request), order_id)

    @post(
        "/{order_id:uuid}/cancel",
        status_code=202,
        summary="Cancel an order",
        description="Starts the cancellation. It ends in CANCELLED, or is withdrawn when the parcel has left already."
        " Repeating it changes nothing.",
        responses=problem_responses(
            {404: "no such order, or another customer's", 409: "too late: the parcel has left, or the order has ended"}
        ),
    )
    async def cancel(self, request: AnyRequest, service: Service, order_id: FromPath[UUID]) -> OrderResponse:
        set_order(order_id)
        return await service.cancel(caller_of(request), order_id, traceparent_of(request.headers))

    @post(
        "/{order_id:uuid}/delivery-confirmation",
        status_code=202,
        summary="Confirm that the parcel has arrived",
        description="Possible once the order is SHIPPED. Repeating it changes nothing.",
        responses=problem_responses({404: "no such order, or another customer's", 409: "the order is not SHIPPED"}),
    )
    async def confirm_delivery(self, request: AnyRequest, service: Service, order_id: FromPath[UUID]) -> OrderResponse:
        set_order(order_id)
        return await service.confirm_delivery(caller_of(request), order_id, traceparent_of(request.headers))


class Article(msgspec.Struct, frozen=True, rename="camel"):
    sku: Sku
    unit_cents: int
    """Price of one piece in the currency's smallest unit."""


class ArticlePage(msgspec.Struct, frozen=True):
    """Articles in order of their number. `next` is the `after` of the next page, null on the last page."""

    currency: str
    articles: list[Article]
    next: str | None


def articles(prices: PriceList) -> HTTPRouteHandler:
    """The public list of articles and prices, answered from memory."""
    known = [Article(sku, cents) for sku, cents in sorted(prices.articles.items())]

    @get("/articles", summary="List articles and prices", tags=["articles"], security=[{}], sync_to_thread=False)
    def page(limit: ArticleLimit = 100, after: AfterArticle = "") -> ArticlePage:
        first = bisect_right(known, after, key=lambda article: article.sku)
        found = known[first : first + limit]
        return ArticlePage(prices.currency, found, found[-1].sku if first + limit < len(known) else None)

    return page


def routes(service: OrderService, guard: AuthGuard) -> Router:
    return Router(
        path="/",
        route_handlers=[OrderController],
        guards=[guard],
        dependencies={"service": Provide(lambda: service, sync_to_thread=False)},
        exception_handlers={errors.OrderError: _problem_response},
    )


def _problem_response(request: AnyRequest, error: errors.OrderError) -> Response[bytes]:
    status, title = PROBLEMS[type(error)]
    return http_error_response(request, ProblemException(status, title, str(error), **error.members))
