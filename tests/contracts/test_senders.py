"""With the permissions of the topology files, no service can publish an event of another service."""

import itertools
import re

import pytest

import broker_topology
from devtools.local.topology import TOPOLOGY
from services.email.channel import channel
from services.registry import SERVICE_NAMES
from services.shared.contracts import CATALOGUE
from services.sms.channel import CHANNEL
from warren_messaging.sender import forgery_reason

USERS = {name: user for loaded in broker_topology.load([TOPOLOGY]) for name, user in loaded.topology.spec.users.items()}
EXCHANGES = {
    name: each for loaded in broker_topology.load([TOPOLOGY]) for name, each in loaded.topology.spec.exchanges.items()
}


def may_write(user: str, exchange: str, key: str) -> bool:
    """Decide as the broker does: topic permissions apply only to topic exchanges, and all of them must match."""
    if not re.search(USERS[user].permissions.write or "^$", exchange):
        return False
    if EXCHANGES[exchange].type != "topic":
        return True
    limits = [each.write for each in USERS[user].topic_permissions if each.exchange == exchange]
    return all(re.search(limit, key) for limit in limits)


HANDLED = {
    "order.exchange": set(CATALOGUE),
    # A fanout exchange ignores the routing key, so only the consumers limit the types.
    "notification.exchange": {
        data.TYPE
        for each in (channel("orders@warren.test"), CHANNEL)
        for data in each.handlers(None)  # type: ignore[arg-type]
    },
}


COMMANDS = {"order.cancel_requested": {"order", "fraud"}}
"""Events that another service may announce: requests to the service in their type."""


def genuine(user: str, user_id: str | None, source: str, event_type: str) -> bool:
    """Whether a consumer would accept such an event from `user`, through any exchange and with any routing key."""
    keys = {*CATALOGUE, *(f"{name}.x" for name in SERVICE_NAMES), "", f"{user}.queue"}
    return any(
        forgery_reason(exchange=exchange, routing_key=key, user_id=user_id, source=source, event_type=event_type)
        is None
        for exchange, key in itertools.product(EXCHANGES, keys)
        if may_write(user, exchange, key) and event_type in HANDLED[exchange]
    )


@pytest.mark.parametrize("user", SERVICE_NAMES)
@pytest.mark.parametrize("event_type", CATALOGUE)
def test_an_event_is_accepted_only_from_the_service_in_its_type(user: str, event_type: str) -> None:
    senders = COMMANDS.get(event_type, {event_type.split(".", maxsplit=1)[0]})
    for source in SERVICE_NAMES:
        assert not genuine(user, None, f"/warren/{source}", event_type)
        # The broker accepts no other user's name.
        assert genuine(user, user, f"/warren/{source}", event_type) == (user == source and user in senders)


def test_only_the_dlq_user_may_write_to_the_redrive_exchange() -> None:
    assert {name for name in USERS if may_write(name, "redrive.exchange", "any")} == {"dlq"}
