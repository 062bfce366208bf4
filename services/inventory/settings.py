"""Settings of the one process."""

from pathlib import Path

from services.shared.chassis.identity import IdentitySettings


class InventorySettings(IdentitySettings, frozen=True, kw_only=True):
    opening_stock_file: Path = Path()
    """JSON object, article to pieces: what is put on the shelf for articles that were never received. Not set:
    nothing is. `services/inventory/opening_stock.json` goes with the shipped prices."""
