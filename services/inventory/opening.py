"""The stock that a shop opens with, for articles that were never received before."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from services.inventory.restocking import MOST_PIECES
from services.shared.contracts.values import Sku
from warren_messaging.errors import ConfigurationError
from warren_messaging.transaction import Transaction

Pieces = Mapping[Sku, Annotated[int, msgspec.Meta(ge=0, le=MOST_PIECES)]]


def read(path: Path) -> Pieces:
    """Article to pieces. Raises ConfigurationError that says what is wrong with the file."""
    try:
        pieces: Pieces = msgspec.json.decode(path.read_bytes(), type=Pieces)
    except OSError as error:
        raise ConfigurationError(f"cannot read the opening stock from {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"opening stock in {path}: {error}") from error
    return pieces


async def put_on_shelf(work: Transaction, *, pieces: Pieces) -> int:
    """Articles that are known stay as they are, so it may run at any time and on any replica."""
    await work.connection.execute(
        "INSERT INTO stock (sku, on_hand, reserved, sold, received)"
        " SELECT sku, pieces, 0, 0, pieces FROM unnest($1::text[], $2::bigint[]) AS new (sku, pieces)"
        " ORDER BY sku ON CONFLICT DO NOTHING",
        list(pieces),
        list(pieces.values()),
    )
    return 0
