"""Parking lots are found from the broker's queues and bindings."""

from pathlib import Path

import pytest

from warren.cli.discovery import (
    BindingInfo,
    QueueInfo,
    QueuesNotListed,
    expected_lots,
    find_parking_lots,
    list_parking_lots,
    select_parking_lots,
)
from warren.errors import ClientError
from warren_messaging.amqp.connection import BrokerAddress

ADDRESS = BrokerAddress("amqps://broker:5671/orders", Path("nowhere"))


def queue(name: str, exchange: str | None = None, key: str | None = None, *, policy: bool = False) -> QueueInfo:
    settings = {"dead-letter-exchange": exchange, "dead-letter-routing-key": key}
    given = {name: value for name, value in settings.items() if value is not None}
    if policy:
        return QueueInfo(name, {}, given)
    return QueueInfo(name, {f"x-{name}": value for name, value in given.items()}, [])


def test_a_parking_lot_has_the_suffix_or_is_a_final_dead_letter_target() -> None:
    queues = [
        queue("loyalty.queue", "orders.dlx", "loyalty.dlq"),
        queue("loyalty.dlq"),
        queue("lonely.dlq"),
        queue("work", "failed", policy=True),
        queue("graveyard"),
        queue("direct", "", "cellar"),
        queue("cellar"),
        queue("retried", "later"),
        queue("waiting", "again"),
        queue("plain"),
        queue("unrouted.queue"),
    ]
    bindings = [
        BindingInfo("", "plain", "queue"),
        BindingInfo("orders.dlx", "loyalty.dlq", "queue"),
        BindingInfo("failed", "failed.all", "exchange"),
        BindingInfo("failed.all", "graveyard", "queue"),
        BindingInfo("later", "waiting", "queue"),
        BindingInfo("again", "retried", "queue"),
        BindingInfo("events", "plain", "queue"),
    ]
    expected = ["cellar", "graveyard", "lonely.dlq", "loyalty.dlq", "unrouted.queue"]
    assert find_parking_lots(queues, bindings) == expected


def test_a_short_name_is_accepted_and_an_unknown_one_refused_with_the_known_ones() -> None:
    lots = ["graveyard", "loyalty.dlq", "unrouted.queue"]
    names = ["loyalty", "unrouted", "graveyard", "loyalty.queue"]
    assert select_parking_lots(names, lots, ADDRESS, complete=True) == ["loyalty.dlq", "unrouted.queue", "graveyard"]
    assert select_parking_lots([], lots, ADDRESS, complete=True) == lots
    assert select_parking_lots(["other"], lots, ADDRESS, complete=False) == ["other.dlq"]
    with pytest.raises(ClientError, match=r"no parking lot 'other' .* graveyard, loyalty\.dlq, unrouted\.queue"):
        select_parking_lots(["other"], lots, ADDRESS, complete=True)


def test_an_error_shows_no_password_of_the_address() -> None:
    address = BrokerAddress("amqps://dlq:hidden@rabbit/orders")
    with pytest.raises(ClientError, match="at amqps://rabbit/orders;") as refused:
        select_parking_lots(["other"], ["loyalty.dlq"], address, complete=True)
    assert "hidden" not in str(refused.value)


def test_without_a_management_api_each_service_with_tables_has_a_parking_lot() -> None:
    with pytest.raises(QueuesNotListed, match="--management-url"):
        list_parking_lots(None, ADDRESS)
    assert expected_lots(["order", "loyalty"]) == ["loyalty.dlq", "order.dlq", "unrouted.queue"]
