"""The shop that is measured: enough articles that customers seldom want the same one, enough pieces for everybody.

A shop of a few articles would measure how long rows are locked, which is a different question.
"""

import random
from pathlib import Path

import msgspec

ARTICLES = 1000
PIECES = 1_000_000
CUSTOMERS = 500


def sku(number: int) -> str:
    return f"article-{number:04d}"


def prices() -> dict[str, int]:
    """Article to cents."""
    return {sku(number): 100 + number for number in range(ARTICLES)}


def write(folder: Path) -> tuple[Path, Path]:
    """The files of prices and of opening stock that the services read."""
    folder.mkdir(parents=True, exist_ok=True)
    price_file, stock_file = folder / "prices.json", folder / "stock.json"
    price_file.write_bytes(msgspec.json.encode({"currency": "EUR", "articles": prices()}))
    stock_file.write_bytes(msgspec.json.encode(dict.fromkeys(prices(), PIECES)))
    return price_file, stock_file


def order(chance: random.Random) -> bytes:
    """The body of one request: two or three articles.

    Names with a blank in them are given no mail address, so the channel workers count each notification and send
    nothing: what is measured is Warren, not the sinks that stand in for mail server and SMS provider.
    """
    items = [
        {"sku": sku(chance.randrange(ARTICLES)), "quantity": chance.randint(1, 3)} for _ in range(chance.randint(2, 3))
    ]
    return msgspec.json.encode({"user": f"customer {chance.randrange(CUSTOMERS)}", "items": items})
