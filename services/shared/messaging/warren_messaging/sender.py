"""Who sent an event, and whether the service_of_user has the right to."""

import re
from functools import lru_cache

REDRIVE_EXCHANGE = "redrive.exchange"
REDRIVE_USER = "dlq"
"""The only broker user that may write to REDRIVE_EXCHANGE. It replays events that were checked before."""

_GENERATION = re.compile(r"\.[0-9]+$")


def service_of_user(user_id: str) -> str:
    """The name behind a broker user: `order` for `order` and for `order.7`, its seventh generation."""
    return _GENERATION.sub("", user_id)


@lru_cache(maxsize=1024)  # a consumer sees few different senders and types
def forgery(*, exchange: str, routing_key: str, user_id: str | None, source: str, event_type: str) -> str | None:
    """Why an event is not from the service that it names, in words; None if it is.

    The broker accepts a `user_id` from that user alone, and only routing keys that the topology allows the user to
    write. An event is genuine if both agree with its body: the last part of `source` is the user, and `type` is the
    routing key. So the topology files alone decide which service may announce which type.

    A replay is genuine: it comes through REDRIVE_EXCHANGE, or from REDRIVE_USER where a queue migration moved it since.
    """
    user = service_of_user(user_id or "")
    if exchange == REDRIVE_EXCHANGE or user == REDRIVE_USER:
        return None
    if not user:
        return f"sent without a user_id in the name of {source!r}: the broker does not confirm its service_of_user"
    if user != source.rsplit("/", 1)[-1]:
        return f"sent by user {user_id!r} in the name of {source!r}"
    if event_type != routing_key:
        return f"type {event_type!r} was sent with the routing key {routing_key!r}: they must be equal"
    return None
