"""A service refuses names that the driver cannot send when they are given, before it connects."""

from typing import Any, ClassVar

import pytest
from aiormq import spec

from warren_messaging import ConfigurationError, EventData, Service
from warren_messaging.amqp.names import require_name


class Ordered(EventData):
    TYPE: ClassVar[str] = "coffee.ordered"


class Endless(EventData):
    TYPE: ClassVar[str] = "e" * 256


def service(exchange: str = "events") -> Service:
    return Service.from_environment("coffee", prefix="COFFEE_", exchange=exchange)


@pytest.mark.parametrize(
    "name", ["q" * 256, "a\x1b[31m", "caf\N{LATIN SMALL LETTER E WITH ACUTE}", "two\nlines", "a'b"]
)
def test_names_that_cannot_be_sent_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"Invalid|exceeded"):
        spec.Queue.Bind(queue=name[:1] if len(name) > 255 else name, exchange=name, routing_key="")
    with pytest.raises(ConfigurationError, match="cannot be the name of a queue"):
        service().consume(name, {})
    with pytest.raises(ConfigurationError, match="cannot be the name of an exchange"):
        service(name)


@pytest.mark.parametrize(
    ("kind", "name"), [("exchange", ""), ("exchange", "e" * 127), ("queue", "a b+c,d/e#f@g:h.i_j-9")]
)
def test_all_other_names_are_accepted_by_both(kind: str, name: str) -> None:
    require_name(kind, name)
    spec.Queue.Bind(**{"queue": "q", "exchange": "e", kind: name}, routing_key="")


def test_a_queue_has_a_name_and_a_type_fits_a_routing_key() -> None:
    with pytest.raises(ConfigurationError, match="cannot be the name of a queue"):
        service().consume("", {})
    with pytest.raises(ConfigurationError, match="cannot be an event type: 1 to 255 bytes"):
        Service.from_environment("coffee", prefix="COFFEE_", events=[Ordered, Endless])


class WithoutType(EventData):
    cups: int


@pytest.mark.parametrize("data", [WithoutType, str])
def test_a_class_without_a_type_is_refused(data: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"service shop: <class '.*'> is not an event: it has no TYPE"):
        Service.from_environment("shop", "SHOP_", events=[data])
    with pytest.raises(ConfigurationError, match="it has no TYPE"):
        Service.from_environment("shop", "SHOP_").consume("shop.queue", {data: print})
