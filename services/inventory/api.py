"""The HTTP API of the inventory service, for warehouse staff."""

from typing import Annotated, Any

import msgspec
from litestar import Controller, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import JSONBody, SkipValidation

from services.inventory.domain import StockItem
from services.inventory.restock_store import RestockKeyReused, RestockStore
from services.inventory.settings import MAX_PIECES
from services.shared.chassis.http.auth import AuthGuard
from services.shared.chassis.http.parameters import AfterArticle, ArticleLimit, IdempotencyKey, SkuPath
from services.shared.chassis.http.problems import ProblemException, problem_responses

Store = NamedDependency[SkipValidation[RestockStore]]


class RestockRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    quantity: Annotated[int, msgspec.Meta(ge=1, le=MAX_PIECES)]


class StockPage(msgspec.Struct, frozen=True):
    """Articles in order of their number. `next` is the `after` of the next page, null on the last page."""

    articles: list[StockItem]
    next: str | None


class StockController(Controller):
    path = "/stock"
    tags = ("stock",)

    @get(summary="List the stock", responses=problem_responses({403: "the token is not a staff token"}))
    async def page(self, store: Store, limit: ArticleLimit = 100, after: AfterArticle = "") -> StockPage:
        found = await store.page(after=after, limit=limit + 1)
        return StockPage(found[:limit], found[limit - 1].sku if len(found) > limit else None)

    @get(
        "/{sku:str}",
        summary="Read the stock of one article",
        responses=problem_responses({403: "the token is not a staff token", 404: "the article was never received"}),
    )
    async def find(self, store: Store, sku: SkuPath) -> StockItem:
        item = await store.find(sku)
        if item is None:
            raise ProblemException(
                404, "Not found", f"Article {sku!r} was never received. GET /stock lists the articles."
            )
        return item

    @post(
        "/{sku:str}/restock",
        status_code=200,
        summary="Add pieces to the stock",
        description="Creates the article if it is new. With an Idempotency-Key, a repeated request adds nothing and"
        " gets the same response.",
        responses=problem_responses(
            {
                403: "the token is not a staff token",
                415: "the body is not application/json",
                422: "the Idempotency-Key was used before with another article or quantity",
            }
        ),
    )
    async def restock(
        self, store: Store, sku: SkuPath, data: JSONBody[RestockRequest], idempotency_key: IdempotencyKey = None
    ) -> StockItem:
        try:
            return await store.restock(sku, data.quantity, idempotency_key)
        except RestockKeyReused:
            detail = "This Idempotency-Key was used before with another article or quantity."
            raise ProblemException(422, "Idempotency-Key reused", detail) from None


def routes(store: RestockStore, guard: AuthGuard) -> Router:
    provide: Any = Provide(lambda: store, sync_to_thread=False)
    return Router(path="/", route_handlers=[StockController], guards=[guard], dependencies={"store": provide})
