"""Parameters that several HTTP APIs have."""

from typing import Annotated

from litestar.params import HeaderParameter, PathParameter, QueryParameter

from services.shared.contracts.values import SINGLE_LINE, SKU_PATTERN, SKU_RULE

IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x20-\x7e]+$(?!\n)",
        description="1 to 255 printable ASCII characters that identify this request: sent again with the same body, it"
        " has no further effect and the same response",
        required=False,
    ),
]
SkuPath = Annotated[str, PathParameter(pattern=SKU_PATTERN, description=SKU_RULE)]
ArticleLimit = Annotated[int, QueryParameter(ge=1, le=500)]
AfterArticle = Annotated[
    str, QueryParameter(max_length=64, pattern=SINGLE_LINE, description="`next` of the previous page")
]
"""Position in a list of articles, which is sorted by article number."""
