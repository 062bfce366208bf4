"""Error responses in the form of RFC 9457, and their description in the OpenAPI document."""

from typing import Annotated

import msgspec
from litestar.exceptions import HTTPException
from litestar.openapi.datastructures import ResponseSpec


class ProblemException(HTTPException):
    """An error response. `title` is the same for all errors of a kind, `detail` describes this occurrence, and
    `members` are extension members."""

    def __init__(self, status: int, title: str, detail: str, **members: object) -> None:
        super().__init__(status_code=status, detail=detail)
        self.title = title
        self.members = members


def encode_problem(status: int, title: str, detail: str, **members: object) -> bytes:
    return msgspec.json.encode({"type": "about:blank", "title": title, "status": status, "detail": detail} | members)


class FieldError(msgspec.Struct, frozen=True):
    """One mistake in a request."""

    key: Annotated[str, msgspec.Meta(description="the field or parameter, as the request calls it")]
    message: str
    source: Annotated[str, msgspec.Meta(description="body, query, path, header or cookie")] | None = None


class ProblemDetails(msgspec.Struct, frozen=True):
    """The body of an error response: RFC 9457, `application/problem+json`. There may be extension members."""

    type: str
    title: Annotated[str, msgspec.Meta(description="the same for all errors of a kind")]
    status: int
    detail: Annotated[str, msgspec.Meta(description="what happened this time")]
    instance: Annotated[str, msgspec.Meta(description="the path of the request")]
    errors: Annotated[
        list[FieldError], msgspec.Meta(description="with status 400, where fields or parameters are wrong")
    ] = []


def problem_responses(descriptions: dict[int, str]) -> dict[int, ResponseSpec]:
    """Return `responses=` for a route from a description of each status code. 400, 401 and 503 are always included."""
    everywhere = {
        400: "a parameter or field is missing, unknown or wrong; `detail` names it",
        401: "no token, or one that is expired or not valid",
        503: "a server is unavailable; send the request again after Retry-After",
    }
    return {
        status: ResponseSpec(
            ProblemDetails, description=text, media_type="application/problem+json", generate_examples=False
        )
        for status, text in sorted((everywhere | descriptions).items())
    }
