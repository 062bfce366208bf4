"""Verifies that an event comes from the service that it names."""

import re
from functools import lru_cache

REDRIVE_EXCHANGE = "redrive.exchange"
REDRIVE_USER = "dlq"
"""The only broker user that may write to REDRIVE_EXCHANGE. It replays events that were verified before."""

_GENERATION = re.compile(r"\.[0-9]+$")


def service_of_user(user_id: str) -> str:
    """Return the service of a broker user: `order` for `order` and for `order.7`, its seventh generation."""
    return _GENERATION.sub("", user_id)


@lru_cache(maxsize=1024)  # a consumer sees few different senders and types
def forgery_reason(*, exchange: str, routing_key: str, user_id: str | None, source: str, event_type: str) -> str | None:
    """Return why an event is not from the service that it names; None if it is genuine.

    The broker accepts a `user_id` only from that user, and only routing keys that the topology allows the user to
    write. An event is genuine if both match its body: the last part of `source` is the user's service, and `type` is
    the routing key. So the topology alone decides which service may announce which type.

    A replay is genuine: it comes through REDRIVE_EXCHANGE, or from REDRIVE_USER if a queue migration has moved it.
    """
    user = service_of_user(user_id or "")
    if exchange == REDRIVE_EXCHANGE or user == REDRIVE_USER:
        return None
    if not user:
        return f"sent without a user_id in the name of {source!r}: the broker does not confirm its sender"
    if user != source.rsplit("/", 1)[-1]:
        return f"sent by user {user_id!r} in the name of {source!r}"
    if event_type != routing_key:
        return f"type {event_type!r} was sent with the routing key {routing_key!r}: they must be equal"
    return None
