"""Settings of the inventory service."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from services.shared.chassis.http.auth import AuthSettings
from services.shared.chassis.settings import load_json_file
from services.shared.contracts.values import Sku

MAX_PIECES = 1_000_000  # in one delivery

OpeningStock = Mapping[Sku, Annotated[int, msgspec.Meta(ge=0, le=MAX_PIECES)]]


class InventorySettings(AuthSettings, frozen=True, kw_only=True):
    opening_stock_file: Path = Path()
    """JSON object of articles and pieces: the first stock of articles that were never received; not set: none.
    `services/inventory/opening_stock.json` fits the shipped prices."""


def load_opening_stock(path: Path) -> OpeningStock:
    """Raises ConfigurationError with the mistake in the file."""
    stock: OpeningStock = load_json_file(path, OpeningStock, "opening stock")
    return stock
