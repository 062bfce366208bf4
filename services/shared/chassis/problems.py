"""Error answers in the form of RFC 9457, and how they appear in the OpenAPI document."""

from typing import Annotated

import msgspec
from litestar.exceptions import HTTPException
from litestar.openapi.datastructures import ResponseSpec


class Problem(HTTPException):
    """An error answer. `title` is the same for all errors of a kind, `detail` says what happened this time, and
    further members carry what a program may want."""

    def __init__(self, status: int, title: str, detail: str, **members: object) -> None:
        super().__init__(status_code=status, detail=detail)
        self.title = title
        self.members = members


class Complaint(msgspec.Struct, frozen=True):
    """One thing that is wrong with a request."""

    key: Annotated[str, msgspec.Meta(description="the field or parameter, as the request calls it")]
    message: str
    source: Annotated[str, msgspec.Meta(description="body, query, path, header or cookie")] | None = None


class ProblemAnswer(msgspec.Struct, frozen=True):
    """RFC 9457, as `application/problem+json`. Further members carry what a program may want."""

    type: str
    title: Annotated[str, msgspec.Meta(description="the same for all errors of a kind")]
    status: int
    detail: Annotated[str, msgspec.Meta(description="what happened this time")]
    instance: Annotated[str, msgspec.Meta(description="the path of the request")]
    errors: Annotated[
        list[Complaint], msgspec.Meta(description="with status 400, where fields or parameters are wrong")
    ] = []


def problems(descriptions: dict[int, str]) -> dict[int, ResponseSpec]:
    """For `responses=` of a route: status to what it means there. 400, 401 and 503 are possible everywhere."""
    everywhere = {
        400: "a parameter or field is missing, unknown or wrong; `detail` names it",
        401: "no token, or one that is expired or not valid",
        503: "a server is away; send the request again after Retry-After",
    }
    return {
        status: ResponseSpec(
            ProblemAnswer, description=text, media_type="application/problem+json", generate_examples=False
        )
        for status, text in sorted((everywhere | descriptions).items())
    }
