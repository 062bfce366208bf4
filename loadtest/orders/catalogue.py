"""The articles of the measured shop: so many that customers seldom order the same one, and enough stock of each.

With few articles, a benchmark would measure how long rows are locked.
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
    """Write the files of prices and of opening stock that the services read."""
    folder.mkdir(parents=True, exist_ok=True)
    price_file, stock_file = folder / "prices.json", folder / "stock.json"
    price_file.write_bytes(msgspec.json.encode({"currency": "EUR", "articles": prices()}))
    stock_file.write_bytes(msgspec.json.encode(dict.fromkeys(prices(), PIECES)))
    return price_file, stock_file


def order(rng: random.Random) -> bytes:
    """The body of one request, with two or three articles.

    A customer's name with a blank gets no mail address, so that the email and sms services count each notification and
    send nothing: the stand-ins for mail server and SMS provider are not measured.
    """
    items = [{"sku": sku(rng.randrange(ARTICLES)), "quantity": rng.randint(1, 3)} for _ in range(rng.randint(2, 3))]
    return msgspec.json.encode({"user": f"customer {rng.randrange(CUSTOMERS)}", "items": items})
