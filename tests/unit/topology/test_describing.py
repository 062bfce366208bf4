"""Whatever a resource can say is found again in what the broker then holds."""

import re

import msgspec
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as some

from broker_topology.export.to_spec import exchange_forms, queue_forms, secret_name
from broker_topology.planning.desired import exchange_body, queue_body
from broker_topology.resource.objects import Exchange, Queue
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
    body = queue_body(msgspec.convert(fields, Queue))
    ways, problem = queue_forms(body)
    assert (problem, len(ways) > 0) == ("", True)
    for each in ways:  # the last one with everything in `arguments`
        assert queue_body(msgspec.convert(each, Queue)) == body


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
    ways, problem = exchange_forms(body)
    assert (ways[0], problem) == (fields, "")
    assert all(exchange_body(msgspec.convert(each, Exchange)) == body for each in ways)


RETRY = {"x-delayed-retry-min": 1000, "x-delayed-retry-max": 2000}


@pytest.mark.parametrize(
    "arguments",
    [
        {"x-queue-type": "quorum", "x-delayed-retry-type": "all", **RETRY},
        {"x-queue-type": "quorum", "x-delayed-retry-type": "failed", "x-delayed-retry-min": 1000},
        {"x-queue-type": "quorum", "x-single-active-consumer": False},
        {"x-queue-type": "quorum", "x-dead-letter-exchange": "", "x-dead-letter-strategy": "at-least-once"},
        {"x-queue-type": "classic", "x-queue-mode": "lazy", "x-queue-version": 2},
        {"x-queue-type": "classic", "x-dead-letter-routing-key": "k"},
        {"x-queue-type": "classic", "x-max-length": "many"},
    ],
)
def test_what_no_field_says_stays_in_the_brokers_words(arguments):
    body = {"durable": True, "auto_delete": False, "arguments": arguments}
    ways, problem = queue_forms(body)
    assert problem == ""
    assert all(queue_body(msgspec.convert(each, Queue)) == body for each in ways)


def test_a_type_of_queue_that_has_no_word():
    body = {"durable": True, "auto_delete": False, "arguments": {"x-queue-type": "delayed"}}
    ways, problem = queue_forms(body)
    assert (list(ways), "Invalid enum value 'delayed'" in problem) == ([], True)


def test_an_exchange_of_a_plugin():
    reason = "a Topology has no exchanges of type x-delayed-message"
    assert exchange_forms({"type": "x-delayed-message"}) == ([], reason)


@pytest.mark.parametrize(
    ("user", "secret"),
    [
        ("inventory", "inventory-rabbitmq"),
        ("my-app", "my-app-rabbitmq"),
        ("Ada.Lovelace_2", "ada-lovelace-2.44b4c546c3caffe368d2-rabbitmq"),
    ],
)
def test_names_of_secrets(user, secret):
    assert secret_name(user) == secret


@seed(SEED)
@settings(max_examples=300, deadline=None, database=None)
@given(some.lists(some.text(alphabet="aB-._ü/ \x85", max_size=12), unique=True))
def test_each_user_has_a_secret_of_its_own_that_kubernetes_takes(users):
    names = [secret_name(each) for each in ["a" * 101, *users]]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", each) for each in names)
    assert all(len(each) <= 253 for each in names)
