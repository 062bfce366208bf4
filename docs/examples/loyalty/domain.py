"""What an order is worth. Events may come in any order, so an earning is made of facts, never of a sequence."""

from uuid import UUID

import msgspec

CENTS_PER_POINT = 100


class Earning(msgspec.Struct, frozen=True):
    """What is known of one order."""

    order_id: UUID
    customer: str | None = None
    cents: int | None = None
    completed: bool = False

    @property
    def points(self) -> int:
        """None are given before the order is both paid and completed."""
        return (self.cents or 0) // CENTS_PER_POINT if self.completed else 0


def pay(earning: Earning, customer: str, cents: int) -> Earning:
    return msgspec.structs.replace(earning, customer=customer, cents=cents)


def complete(earning: Earning, customer: str) -> Earning:
    return msgspec.structs.replace(earning, customer=customer, completed=True)
