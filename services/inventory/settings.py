"""Settings of the one process."""

from pathlib import Path

from services.shared.chassis.http.auth import AuthSettings


class InventorySettings(AuthSettings, frozen=True, kw_only=True):
    opening_stock_file: Path = Path()
    """JSON object, article to pieces: what is put on the shelf for articles that were never received. Not set:
    nothing is. `services/inventory/opening_stock.json` goes with the shipped prices."""
