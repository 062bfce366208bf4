"""The points of an order. Events may arrive in any order, so an earning collects facts and assumes no sequence."""

from uuid import UUID

import msgspec

CENTS_PER_POINT = 100


class Earning(msgspec.Struct, frozen=True):
    """The known facts of one order."""

    order_id: UUID
    customer: str | None = None
    cents: int | None = None
    completed: bool = False

    @property
    def points(self) -> int:
        """0 until the order is both paid and completed."""
        return (self.cents or 0) // CENTS_PER_POINT if self.completed else 0


def record_payment(earning: Earning, customer: str, cents: int) -> Earning:
    return msgspec.structs.replace(earning, customer=customer, cents=cents)


def record_completion(earning: Earning, customer: str) -> Earning:
    return msgspec.structs.replace(earning, customer=customer, completed=True)
