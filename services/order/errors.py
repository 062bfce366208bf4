"""Errors that the order service reports to its callers. `api` maps each class to an HTTP status.

OrderError
├── CustomerMissing, CustomerForbidden
├── UnknownArticle, TooManyPieces, InvalidAddress, InvalidCursor
├── IdempotencyKeyReused, ReferenceTaken
├── OrderNotFound
└── CancellationTooLate, DeliveryNotConfirmable
Unavailable (of the messaging library)
└── Overloaded
"""

from warren_messaging.errors import Unavailable


class OrderError(Exception):
    """The message is for people; `members` hold the same for programs."""

    def __init__(self, message: str, **members: object) -> None:
        super().__init__(message)
        self.members = members


class CustomerMissing(OrderError):
    pass


class CustomerForbidden(OrderError):
    """The caller may not act for this customer."""


class UnknownArticle(OrderError):
    pass


class TooManyPieces(OrderError):
    pass


class InvalidAddress(OrderError):
    pass


class InvalidCursor(OrderError):
    pass


class IdempotencyKeyReused(OrderError):
    """The customer has used the key before for a request with another body."""


class ReferenceTaken(OrderError):
    """The customer has another order with this reference."""


class OrderNotFound(OrderError):
    """Also raised for the order of another customer, so that ids cannot be probed."""


class CancellationTooLate(OrderError):
    pass


class DeliveryNotConfirmable(OrderError):
    pass


class Overloaded(Unavailable):
    """Too many placements or events are waiting."""
