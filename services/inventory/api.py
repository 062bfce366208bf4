"""The HTTP routes of the inventory service, for the people of the warehouse."""

from typing import Annotated, Any

import msgspec
from litestar import Controller, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import HeaderParameter, JSONBody, PathParameter, QueryParameter, SkipValidation

from services.inventory.restocking import MOST_PIECES, Refusal, Restocking, StockAnswer
from services.shared.chassis.http.auth import AuthGuard
from services.shared.chassis.http.problems import Problem, problems
from services.shared.contracts.values import SINGLE_LINE

Article = Annotated[
    str,
    PathParameter(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$(?!\n)",
        description="1 to 64 letters, digits, dots, hyphens and underscores, the first a letter or digit",
    ),
]
TheRestocking = NamedDependency[SkipValidation[Restocking]]


class Restock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Goods that have arrived."""

    quantity: Annotated[int, msgspec.Meta(ge=1, le=MOST_PIECES)]


class StockPage(msgspec.Struct, frozen=True):
    """Articles in the order of their numbers. `next` goes into `after` for the page after this one."""

    articles: list[StockAnswer]
    next: str | None


class Stock(Controller):
    path = "/stock"
    tags = ("stock",)

    @get(summary="List the stock", responses=problems({403: "the token is not staff's"}))
    async def page(
        self,
        restocking: TheRestocking,
        limit: Annotated[int, QueryParameter(ge=1, le=500)] = 100,
        after: Annotated[
            str, QueryParameter(max_length=64, pattern=SINGLE_LINE, description="`next` of the page before this one")
        ] = "",
    ) -> StockPage:
        found = await restocking.articles(after=after, limit=limit + 1)
        return StockPage(found[:limit], found[limit - 1].sku if len(found) > limit else None)

    @get(
        "/{sku:str}",
        summary="Read the stock of one article",
        responses=problems({403: "the token is not staff's", 404: "an article that was never received"}),
    )
    async def find(self, restocking: TheRestocking, sku: Article) -> StockAnswer:
        answer = await restocking.article(sku)
        if answer is None:
            raise Problem(404, "Not found", f"Article {sku!r} was never received. GET /stock lists what was.")
        return answer

    @post(
        "/{sku:str}/restock",
        status_code=200,
        summary="Put pieces on the shelf",
        description="An article that was never received gets a shelf. With an Idempotency-Key, a repeated request"
        " adds nothing and has the same answer.",
        responses=problems(
            {
                403: "the token is not staff's",
                415: "the body is not application/json",
                422: "the Idempotency-Key came with another article or quantity before",
            }
        ),
    )
    async def restock(
        self,
        restocking: TheRestocking,
        sku: Article,
        data: JSONBody[Restock],
        idempotency_key: Annotated[
            str | None,
            HeaderParameter(
                name="Idempotency-Key",
                min_length=1,
                max_length=255,
                pattern=r"^[\x20-\x7e]+$(?!\n)",
                description="1 to 255 printable ASCII characters that name this delivery",
                required=False,
            ),
        ] = None,
    ) -> StockAnswer:
        match await restocking.restock(sku, data.quantity, idempotency_key):
            case Refusal.KEY_REUSED:
                raise Problem(422, "Idempotency-Key reused", "This Idempotency-Key came with another delivery before.")
            case StockAnswer() as answer:
                return answer


def routes(restocking: Restocking, guard: AuthGuard) -> Router:
    provide: Any = Provide(lambda: restocking, sync_to_thread=False)
    return Router(path="/", route_handlers=[Stock], guards=[guard], dependencies={"restocking": provide})
