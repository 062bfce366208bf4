"""What a resource may refer to: its own objects, its neighbours', and what the broker holds and will go on holding."""

import pytest

from broker_topology.planning.state import ObjectKind, binding_key, empty, key
from broker_topology.rules.validation import check


@pytest.fixture
def observed():
    """A broker with a topic exchange, a queue, and a way from one to the other."""
    state = empty()
    state[ObjectKind.EXCHANGE][key("events", "v")] = {"type": "topic", "arguments": {}}
    state[ObjectKind.EXCHANGE][key("dlx", "v")] = {"type": "fanout", "arguments": {}}
    state[ObjectKind.QUEUE][key("parking", "v")] = {"arguments": {}}
    state[ObjectKind.BINDING][binding_key("v", "dlx", ("queue", "parking"), "", {})] = {}
    return state


SPEC = {
    "exchanges": {"own": {"type": "direct", "alternateExchange": "dlx"}},
    "queues": {"q": {"deadLetter": {"exchange": "dlx"}}},
    "bindings": [
        {"source": "events", "queue": "q", "routingKey": "a"},
        {"source": "own", "queue": "parking", "routingKey": "a"},
    ],
    "users": {
        "u": {
            "secretName": "s",
            "permissions": {"write": "^events$", "read": "^parking$"},
            "topicPermissions": [{"exchange": "events", "write": "^u"}],
        }
    },
}


def said(*given, **more):
    return [f"{each.path}: {each.message}" for each in check(*given, **more)]


def test_what_the_broker_holds_may_be_referred_to(loaded, observed):
    assert said(loaded(SPEC), observed=observed) == []


def test_nothing_of_it_is_known_without_the_broker(loaded):
    assert {each.split(":")[0] for each in said(loaded(SPEC))} == {
        "spec.exchanges.own.alternateExchange",
        "spec.queues.q.deadLetter.exchange",
        "spec.bindings[0].source",
        "spec.bindings[1].queue",
        "spec.users.u.permissions.write",
        "spec.users.u.permissions.read",
        "spec.users.u.topicPermissions[0].exchange",
    }


def test_what_is_about_to_go_may_not(loaded, observed):
    deleted = frozenset({(ObjectKind.EXCHANGE, key("dlx", "v")), (ObjectKind.QUEUE, key("parking", "v"))})
    assert said(loaded(SPEC), observed=observed, deleted=deleted) == [
        "spec.exchanges.own.alternateExchange: no Topology declares exchange dlx",
        "spec.queues.q.deadLetter.exchange: no Topology declares exchange dlx",
        "spec.bindings[1].queue: no Topology declares queue parking",
        "spec.users.u.permissions.read: ^parking$ matches no declared exchange or queue",
    ]


def test_another_virtual_host_is_another_world(loaded, observed):
    assert len(said(loaded(SPEC | {"vhost": "w"}), observed=observed)) == 7


def test_neighbours_are_referred_to_and_not_judged(loaded):
    wrong = {"exchanges": {"events": {"type": "topic"}}, "bindings": [{"source": "nowhere", "queue": "q"}]}
    own = {"queues": {"q": {}}, "bindings": [{"source": "events", "queue": "q", "routingKey": "a"}]}
    one, neighbour = loaded(own, wrong)
    assert said([one], [neighbour]) == []
    assert said([neighbour], [one]) == ["spec.bindings[0].source: no Topology declares exchange nowhere"]


def test_a_routing_key_is_followed_through_what_the_broker_holds(loaded, observed):
    observed[ObjectKind.EXCHANGE][key("dlx", "v")]["type"] = "direct"
    observed[ObjectKind.BINDING] = {binding_key("v", "dlx", ("queue", "parking"), "park", {}): {}}
    queue = {"queues": {"q": {"deadLetter": {"exchange": "dlx", "routingKey": "park"}}}}
    assert said(loaded(queue), observed=observed) == []
    wrong = {"queues": {"q": {"deadLetter": {"exchange": "dlx", "routingKey": "parc"}}}}
    assert said(loaded(wrong), observed=observed) == [
        "spec.queues.q.deadLetter.routingKey: parc reaches no queue through dlx"
    ]
