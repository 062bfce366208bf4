"""The failure of one delivery, as telemetry reports it."""

from enum import StrEnum

import msgspec


class FailureReason(StrEnum):
    """Why a delivery failed. The set is small and fixed, so that it can be a label of a metric."""

    MALFORMED = "malformed"
    """The consumer cannot read it: no event, an unknown type, undecodable properties, a body that is too large."""
    SENDER = "sender"
    """Its broker user is not the service in its `source`."""
    PERMANENT = "permanent"
    """A handler or an effect raised PermanentError."""
    VALUE = "value"
    """The database refuses a value of it, at every attempt."""
    TRANSIENT = "transient"
    """A handler or an effect raised TransientError."""
    TIMEOUT = "timeout"
    """A handler, an effect or a wait for a lock took too long."""
    DATABASE = "database"
    """Another error of the database, such as a repeated deadlock."""
    ERROR = "error"
    """A handler or an effect raised any other exception: a mistake in its code."""
    EXHAUSTED = "exhausted"
    """It failed for a reason that is retried, and this was the last attempt."""

    @property
    def is_permanent(self) -> bool:
        """Whether no retry can succeed: the delivery is parked at once."""
        return self in _PERMANENT


_PERMANENT = {FailureReason.MALFORMED, FailureReason.SENDER, FailureReason.PERMANENT, FailureReason.VALUE}


class DeliveryFailure(msgspec.Struct, frozen=True):
    """One failed attempt to process a delivery, after it was recorded."""

    reason: FailureReason
    text: str
    """The reason in words, for an operator."""
    key: str
    """The key of the record in the table `failures`."""
    attempts: int
    """Number of attempts, including this one."""
    parked: bool
    """Whether the delivery goes to the parking lot; if not, it will be retried."""
    seconds: float
    """Duration of the attempt."""
