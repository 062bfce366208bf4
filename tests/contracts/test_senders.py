"""With the permissions of the topology files, no service can announce an event of another one."""

import itertools
import re

import pytest

import broker_topology
from devtools.local.topology import TOPOLOGY
from services.email.channel import channel
from services.registry import SERVICE_NAMES
from services.shared.contracts import CATALOGUE
from services.sms.channel import CHANNEL
from warren_messaging.sender import forgery

USERS = {name: user for loaded in broker_topology.load([TOPOLOGY]) for name, user in loaded.topology.spec.users.items()}
EXCHANGES = {
    name: each for loaded in broker_topology.load([TOPOLOGY]) for name, each in loaded.topology.spec.exchanges.items()
}


def may_write(user: str, exchange: str, key: str) -> bool:
    """As the broker decides: topic permissions count for topic exchanges alone, and all that are there must allow."""
    if not re.search(USERS[user].permissions.write or "^$", exchange):
        return False
    if EXCHANGES[exchange].type != "topic":
        return True
    limits = [each.write for each in USERS[user].topic_permissions if each.exchange == exchange]
    return all(re.search(limit, key) for limit in limits)


HANDLED = {
    "order.exchange": set(CATALOGUE),
    # A fanout: the routing key limits nothing, so what its takers handle does.
    "notification.exchange": {
        data.TYPE
        for each in (channel("orders@warren.test"), CHANNEL)
        for data in each.handlers(None)  # type: ignore[arg-type]
    },
}


def genuine(user: str, user_id: str | None, source: str, event_type: str) -> bool:
    """Whether `user` can have a receiver accept such an event, by any exchange and any routing key."""
    keys = {*CATALOGUE, *(f"{name}.x" for name in SERVICE_NAMES), "", f"{user}.queue"}
    return any(
        forgery(exchange=exchange, routing_key=key, user_id=user_id, source=source, event_type=event_type) is None
        for exchange, key in itertools.product(EXCHANGES, keys)
        if may_write(user, exchange, key) and event_type in HANDLED[exchange]
    )


@pytest.mark.parametrize("user", SERVICE_NAMES)
@pytest.mark.parametrize("event_type", CATALOGUE)
def test_an_event_is_accepted_from_the_service_that_its_type_names_and_no_other(user: str, event_type: str) -> None:
    owner = event_type.split(".", maxsplit=1)[0]
    for source in SERVICE_NAMES:
        assert not genuine(user, None, f"/warren/{source}", event_type)
        # The broker accepts no other user's name.
        assert genuine(user, user, f"/warren/{source}", event_type) == (user == source == owner)


def test_one_user_alone_may_write_where_replays_are_believed() -> None:
    assert {name for name in USERS if may_write(name, "redrive.exchange", "any")} == {"dlq"}
