"""The translation of the broker's objects into spec fields."""

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
def test_any_queue_is_translated_back_exactly(fields):
    body = queue_body(msgspec.convert(fields, Queue))
    forms, problem = queue_forms(body)
    assert (problem, len(forms) > 0) == ("", True)
    for each in forms:  # the last form has all in `arguments`
        assert queue_body(msgspec.convert(each, Queue)) == body


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "topic"},
        {"type": "fanout", "durable": False, "autoDelete": True, "internal": True},
        {"type": "headers", "alternateExchange": "rest", "arguments": {"x-super-stream": True}},
    ],
)
def test_exchanges_are_translated_back_exactly(fields):
    body = exchange_body(msgspec.convert(fields, Exchange))
    forms, problem = exchange_forms(body)
    assert (forms[0], problem) == (fields, "")
    assert all(exchange_body(msgspec.convert(each, Exchange)) == body for each in forms)


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
def test_arguments_without_a_field_stay_arguments(arguments):
    body = {"durable": True, "auto_delete": False, "arguments": arguments}
    forms, problem = queue_forms(body)
    assert problem == ""
    assert all(queue_body(msgspec.convert(each, Queue)) == body for each in forms)


def test_an_unknown_type_of_queue_has_no_form():
    body = {"durable": True, "auto_delete": False, "arguments": {"x-queue-type": "delayed"}}
    forms, problem = queue_forms(body)
    assert (list(forms), "Invalid enum value 'delayed'" in problem) == ([], True)


def test_an_exchange_type_of_a_plugin_has_no_form():
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
def test_a_secret_is_named_after_its_user(user, secret):
    assert secret_name(user) == secret


@seed(SEED)
@settings(max_examples=300, deadline=None, database=None)
@given(some.lists(some.text(alphabet="aB-._ü/ \x85", max_size=12), unique=True))
def test_names_of_secrets_are_unique_and_valid_in_kubernetes(users):
    names = [secret_name(each) for each in ["a" * 101, *users]]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", each) for each in names)
    assert all(len(each) <= 253 for each in names)
