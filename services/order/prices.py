"""The prices of articles. The service sets them, never the customer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

import msgspec

from services.shared.chassis.settings import load_json_file
from services.shared.contracts.values import Currency, Sku
from warren_messaging.errors import ConfigurationError


class PriceList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    currency: Annotated[Currency, msgspec.Meta(pattern=r"^[A-Z]{3}$(?!\n)")]
    articles: Mapping[Sku, Annotated[int, msgspec.Meta(ge=0, le=100_000_000)]]
    """Price of one piece in the currency's smallest unit."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises ConfigurationError with the mistake in the file."""
        prices: Self = load_json_file(path, cls, "prices")
        if not prices.articles:
            raise ConfigurationError(f"prices in {path}: there is no article")
        return prices
