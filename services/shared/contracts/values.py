"""Kinds of values in events, with their limits.

A value that a database cannot store or a service cannot use is rejected when the event is decoded. So the event is
parked at once, instead of failing repeatedly in a transaction that it shares with other events. The codec rejects
control characters in all events.
"""

from enum import Enum, auto
from typing import Annotated

from msgspec import Meta

from warren_messaging.events import Name, ShortText

__all__ = [
    "Cents", "Currency", "EmailAddress", "Name", "PaymentToken", "PhoneNumber", "Privacy", "Prose", "Quantity",
    "SINGLE_LINE", "SKU_PATTERN", "SKU_RULE", "ShortText", "Sku",
]  # fmt: skip


class Privacy(Enum):
    """Marks values that not every reader of an event may see; `privacy.redacted` removes them."""

    SECRET = auto()
    """Grants a right, such as to charge a card."""
    PERSONAL = auto()
    """An address of a person."""


SINGLE_LINE = r"^[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]*$(?!\n)"
"""Pattern for user input: no line breaks, terminal controls or bidirectional overrides. (`$` alone allows a last \\n.)
Events have no pattern, since it would cost more than all other checks together."""

Prose = Annotated[str, Meta(max_length=20_000)]
Quantity = Annotated[int, Meta(ge=1, le=2**53)]
"""A number of pieces. The sum of several fits a bigint."""
Cents = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""An amount in the currency's smallest unit; fits a bigint."""
Currency = Annotated[str, Meta(min_length=3, max_length=3)]
"""ISO 4217."""
PaymentToken = Annotated[str, Meta(min_length=1, max_length=255, extra={"privacy": Privacy.SECRET})]
"""The gateway's name for a means of payment."""
EmailAddress = Annotated[str, Meta(max_length=320, extra={"privacy": Privacy.PERSONAL})]
PhoneNumber = Annotated[str, Meta(max_length=64, extra={"privacy": Privacy.PERSONAL})]
"""The functions in `addresses` accept only deliverable mail addresses and telephone numbers."""

SKU_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$(?!\n)"
SKU_RULE = "1 to 64 letters, digits, dots, hyphens and underscores, the first a letter or digit"
Sku = Annotated[str, Meta(pattern=SKU_PATTERN, max_length=64, description=f"an article: {SKU_RULE}")]
"""An article in user input. In an event any Name may stand for an article."""
