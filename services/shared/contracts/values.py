"""Kinds of values that events carry, each with its limits.

A value that a database cannot store or a service cannot use is refused when the event is read, so the event is parked
at once instead of failing later, again and again, in a transaction that it shares with others. Control characters are
refused everywhere, by the codec.
"""

from enum import Enum, auto
from typing import Annotated

from msgspec import Meta

from warren_messaging.events import Name, ShortText

__all__ = [
    "Cents", "Currency", "EmailAddress", "Name", "PaymentToken", "PhoneNumber", "Privacy", "Prose", "Quantity",
    "SINGLE_LINE", "ShortText", "Sku",
]  # fmt: skip


class Privacy(Enum):
    """Marks values that are not for every reader of an event; `privacy.redacted` removes them."""

    SECRET = auto()
    """Gives its holder a right, such as to charge a card."""
    PERSONAL = auto()
    """Reaches a person."""


SINGLE_LINE = r"^[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]*$(?!\n)"
"""For what people write: nothing that ends a line, controls a terminal or changes the direction of text. (`$` alone
allows a last \\n.) In events a pattern costs more than all other checks: there the codec refuses control characters."""

Prose = Annotated[str, Meta(max_length=20_000)]
Quantity = Annotated[int, Meta(ge=1, le=2**53)]
"""Pieces. A sum of several stays within a bigint."""
Cents = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""An amount in the currency's smallest unit, as a bigint holds it."""
Currency = Annotated[str, Meta(min_length=3, max_length=3)]
"""ISO 4217."""
PaymentToken = Annotated[str, Meta(min_length=1, max_length=255, extra={"privacy": Privacy.SECRET})]
"""A gateway's name for a means of payment."""
EmailAddress = Annotated[str, Meta(max_length=320, extra={"privacy": Privacy.PERSONAL})]
PhoneNumber = Annotated[str, Meta(max_length=64, extra={"privacy": Privacy.PERSONAL})]
"""For both: `addresses` says which can be delivered to."""

Sku = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$(?!\n)",
        max_length=64,
        description="an article: 1 to 64 letters, digits, dots, hyphens and underscores, the first a letter or digit",
    ),
]
"""For what people write; in an event any Name may stand for an article."""
