"""What articles cost. The service sets prices, never the customer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

import msgspec

from services.shared.messaging.errors import ConfigurationError

Sku = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$(?!\n)",
        max_length=64,
        description="an article: 1 to 64 letters, digits, dots, hyphens and underscores, the first a letter or digit",
    ),
]


class PriceList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    currency: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}$(?!\n)")]
    """ISO 4217."""
    articles: Mapping[Sku, Annotated[int, msgspec.Meta(ge=0, le=100_000_000)]]
    """Price of one piece in the currency's smallest unit."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises ConfigurationError that says what is wrong with the file."""
        try:
            prices = msgspec.json.decode(path.read_bytes(), type=cls)
        except OSError as error:
            raise ConfigurationError(f"cannot read the prices from {path}: {error.strerror}") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"prices in {path}: {error}") from error
        if not prices.articles:
            raise ConfigurationError(f"prices in {path}: there is no article")
        return prices
