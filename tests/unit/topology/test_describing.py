"""Whatever a resource can say is found again in what the broker then holds."""

import msgspec
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as some

from broker_topology.adoption.describing import exchange, queue, secret_name
from broker_topology.broker.observe import _with_defaults
from broker_topology.planning.desired import exchange_body, queue_body
from broker_topology.resource.declared import Exchange, Queue
from tests.conftest import SEED

names = some.sampled_from(["dlx", "rest", "ü/#"])
dead_letters = some.fixed_dictionaries(
    {"exchange": names},
    optional={"routingKey": names, "strategy": some.sampled_from(["at-least-once", "at-most-once"])},
)
queues = some.fixed_dictionaries(
    {"type": some.sampled_from(["quorum", "classic", "stream"])},
    optional={
        "deadLetter": dead_letters,
        "overflow": some.sampled_from(["drop-head", "reject-publish"]),
        "retry": some.just({"minSeconds": 0.5, "maxSeconds": 60}),
        "deliveryLimit": some.integers(-1, 100),
        "messageTtlSeconds": some.sampled_from([0, 1, 1.5]),
        "maxLength": some.integers(0, 9),
        "maxAge": some.just("7D"),
        "singleActiveConsumer": some.just(True),
        "autoDelete": some.booleans(),
        "arguments": some.just({"x-queue-leader-locator": "balanced", "owner": "shop"}),
    },
)


@seed(SEED)
@settings(max_examples=300, deadline=None, database=None)
@given(queues)
def test_any_queue(fields):
    body = dict(queue_body(msgspec.convert(fields, Queue)))
    body["arguments"] = _with_defaults(fields["type"], body["arguments"])
    described, problem = queue(body)
    if problem:  # at-least-once by default takes over the queue's own words, and these can be said in another way
        raise AssertionError(problem)
    assert queue_body(msgspec.convert(described, Queue)) == body


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "topic"},
        {"type": "fanout", "durable": False, "autoDelete": True, "internal": True},
        {"type": "headers", "alternateExchange": "rest", "arguments": {"x-super-stream": True}},
    ],
)
def test_exchanges(fields):
    body = exchange_body(msgspec.convert(fields, Exchange))
    assert exchange(body) == (fields, "")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (
            {
                "x-queue-type": "quorum",
                "x-delayed-retry-type": "all",
                "x-delayed-retry-min": 1,
                "x-delayed-retry-max": 2,
            },
            "no fields for x-delayed-retry-type 'all'",
        ),
        ({"x-queue-type": "classic", "x-max-length": "many"}, "Expected `int | null`, got `str`"),
        ({"x-queue-type": "delayed"}, "Invalid enum value 'delayed'"),
    ],
)
def test_what_has_no_words(arguments, problem):
    _, found = queue({"durable": True, "auto_delete": False, "arguments": arguments})
    assert problem in found


def test_an_exchange_of_a_plugin():
    assert exchange({"type": "x-delayed-message"})[1] == "exchanges of type x-delayed-message have no word here"


@pytest.mark.parametrize(
    ("user", "secret"),
    [("inventory", "inventory-rabbitmq"), ("Ada.Lovelace_2", "ada-lovelace-2-rabbitmq"), ("ü", "user-rabbitmq")],
)
def test_names_of_secrets(user, secret):
    assert secret_name(user) == secret
