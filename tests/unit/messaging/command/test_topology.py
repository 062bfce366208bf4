"""What a service needs at the broker, as documents."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
import yaml
from aiormq.exceptions import ChannelPreconditionFailed

from broker_topology.resource.manifests import load
from broker_topology.resource.queue_arguments import queue_arguments
from warren_messaging import ConfigurationError, EventData, Service
from warren_messaging.command.declare import Difference, difference
from warren_messaging.command.formats import definitions, topology_resources
from warren_messaging.command.service_topology import service_topology, vhost_of


class Ordered(EventData):
    TYPE = "coffee.ordered"


class Served(EventData):
    TYPE = "coffee.served"


class Paid(EventData):
    TYPE = "till.paid"


class BeanBought(EventData):
    TYPE = "bean.bought"


async def handler(event: Any, uow: Any) -> Iterable[EventData]:
    return []


def coffee(**options: Any) -> Service:
    return Service.from_environment("coffee", "COFFEE_", events=[Served, BeanBought], **options)


def test_the_user_may_do_what_the_service_does_and_no_more() -> None:
    service = coffee()
    service.consume("coffee.queue", {Ordered: handler, Paid: handler})
    shared, own = yaml.safe_load_all(topology_resources(service_topology(service, "orders")))
    assert own["spec"]["users"] == {
        "coffee": {
            "secretName": "coffee-rabbitmq",
            "permissions": {"read": r"^coffee\.queue$", "write": "^events$"},
            # till.paid belongs to another service; coffee.ordered has the service's own name in front.
            "topicPermissions": [{"exchange": "events", "write": r"^(bean\.bought|coffee\.ordered|coffee\.served)$"}],
        }
    }
    assert "users" not in shared["spec"]
    assert shared["metadata"]["name"] == "events-shared"


def test_a_service_that_only_consumes_may_not_write_and_one_that_only_announces_may_not_read() -> None:
    tea = Service.from_environment("tea", "TEA_")
    tea.consume("tea.queue", {Paid: handler})
    _, own = yaml.safe_load_all(topology_resources(service_topology(tea, "/")))
    assert own["spec"]["users"]["tea"]["permissions"] == {"read": r"^tea\.queue$"}
    _, own = yaml.safe_load_all(topology_resources(service_topology(coffee(), "/")))
    assert "read" not in own["spec"]["users"]["coffee"]["permissions"]
    assert "queues" not in own["spec"]


def test_several_queues_other_names_and_a_handler_of_every_event() -> None:
    service = coffee(exchange="orders.exchange", source="/shop/bar")
    service.consume("Coffee.queue", {Ordered: handler})
    service.consume("log", {EventData: handler}, tolerant=True)
    topology = service_topology(service, "orders")
    assert topology.user == "bar"
    found = {(each.source, each.queue, each.routing_key) for each in topology.own.bindings}
    assert found == {
        ("orders.dlx", "Coffee.dlq", "Coffee.dlq"),
        ("redrive.exchange", "Coffee.queue", "Coffee.queue"),
        ("orders.exchange", "Coffee.queue", "coffee.ordered"),
        ("orders.dlx", "log.dlq", "log.dlq"),
        ("redrive.exchange", "log", "log"),
        ("orders.exchange", "log", "#"),
    }
    document = topology_resources(topology)
    assert "name: orders-shared" in document
    assert '"#"' in document, "a comment in YAML unless it is quoted"


def test_the_topology_has_the_arguments_that_are_declared(tmp_path: Any) -> None:
    service = coffee()
    service.consume("coffee.queue", {Ordered: handler})
    topology = service_topology(service, "yes")
    file = tmp_path / "topology.yaml"
    file.write_text(topology_resources(topology))
    loaded = load([str(file)])
    assert {each.spec.vhost for each in loaded} == {"yes"}, "a word that YAML reads as true"
    found = {name: queue_arguments(queue) for each in loaded for name, queue in each.spec.queues.items()}
    assert found == {queue.name: queue.arguments for queue in topology.everything.queues}
    document = json.loads(definitions(topology))
    assert {each["name"]: each["arguments"] for each in document["queues"]} == found


@pytest.mark.parametrize(
    ("url", "vhost"),
    [("amqp://h", "/"), ("amqp://h/", "/"), ("amqp://h/%2F", "/"), ("amqps://u:p@h:5671/a%2Fb", "a/b")],
)
def test_the_virtual_host_of_an_address(url: str, vhost: str) -> None:
    assert vhost_of(url) == vhost


REFUSED = "PRECONDITION_FAILED - inequivalent arg '{}' for {} in vhost 'a': received {} but current is {}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            REFUSED.format("x-delivery-limit", "queue 'q'", "none", "the value '20' of type 'byte'"),
            Difference("queue", "q", "x-delivery-limit", 20, None),
        ),
        (
            REFUSED.format("x-delivery-limit", "queue 'q'", "'1000'", "'-1'"),
            Difference("queue", "q", "x-delivery-limit", -1, 1000),
        ),
        (
            REFUSED.format("type", "exchange 'it's'", "'topic'", "'fanout'"),
            Difference("exchange", "it's", "type", "fanout", "topic"),
        ),
    ],
)
def test_the_refusal_of_a_declaration_names_the_difference(text: str, expected: Difference) -> None:
    assert difference(ChannelPreconditionFailed(text)) == expected


def test_another_refusal_keeps_its_text() -> None:
    with pytest.raises(ConfigurationError, match="invalid arg 'x-max-age'"):
        difference(ChannelPreconditionFailed("PRECONDITION_FAILED - invalid arg 'x-max-age' for queue 'q'"))
