"""Selects parked messages by their attributes and failure records."""

import fnmatch
import re
from datetime import datetime

import msgspec

from warren_messaging.dead_letters.parked_message import FailureRecord, ParkedMessage


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """All given conditions must hold; an empty selection matches every message.

    A missing attribute never matches: a message with an unknown time of parking is selected by no time.
    """

    reason: re.Pattern[str] | None = None
    """Searched in the reason."""
    since: datetime | None = None
    """ParkedMessage then or later."""
    until: datetime | None = None
    """ParkedMessage before."""
    order: str | None = None
    """Reference or id of the subject, exactly."""
    type: str | None = None
    """Event type; * and ? stand for any characters, as in order.*"""
    id: str | None = None
    """Event id, logical id, message id or body hash, or a prefix of one of them."""

    def matches(self, parked: ParkedMessage, failure: FailureRecord | None) -> bool:
        return (
            (self.reason is None or self.reason.search(parked.reason(failure)) is not None)
            and self._in_time(parked.parked_at)
            and (self.order is None or self.order in _orders(parked))
            and (self.type is None or (parked.type is not None and fnmatch.fnmatchcase(parked.type, self.type)))
            and (self.id is None or any(known.startswith(self.id) for known in _ids(parked)))
        )

    def _in_time(self, time: datetime | None) -> bool:
        if self.since is None and self.until is None:
            return True
        if time is None:
            return False
        return (self.since is None or time >= self.since) and (self.until is None or time < self.until)


def _orders(parked: ParkedMessage) -> set[str]:
    known = (parked.envelope.reference, parked.envelope.subject, parked.properties.correlation_id)
    return {order for order in known if order}


def _ids(parked: ParkedMessage) -> list[str]:
    known = (parked.envelope.id, parked.envelope.logicalid, parked.properties.message_id, parked.body_hash)
    return [identity for identity in known if identity]
