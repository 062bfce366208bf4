"""The list of dashboards and their files."""

from collections.abc import Mapping
from pathlib import Path

from devtools.dashboards import broker, database, messaging, operator, services, shop
from devtools.paths import CHECKOUT

FOLDER = CHECKOUT / "charts" / "warren" / "dashboards"
BOARDS = {
    "shop": shop.board,
    "messaging": messaging.board,
    "services": services.board,
    "broker": broker.board,
    "database": database.board,
    "operator": operator.board,
}
"""The name of each file, without its suffix, and the function that returns the dashboard."""


def rendered() -> Mapping[Path, str]:
    """Return the text of each file."""
    return {FOLDER / f"{name}.json": board().render() for name, board in BOARDS.items()}
