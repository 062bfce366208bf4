"""References to own objects, to objects of peers, and to observed objects."""

import pytest

from broker_topology.planning.state import Key, ObjectKind, empty_state
from broker_topology.rules.validation import check


@pytest.fixture
def observed():
    """A broker with two exchanges and a bound queue."""
    state = empty_state()
    state[ObjectKind.EXCHANGE][Key.of("events", "v")] = {"type": "topic", "arguments": {}}
    state[ObjectKind.EXCHANGE][Key.of("dlx", "v")] = {"type": "fanout", "arguments": {}}
    state[ObjectKind.QUEUE][Key.of("parking", "v")] = {"arguments": {}}
    state[ObjectKind.BINDING][Key.of_binding("v", "dlx", ("queue", "parking"), "", {})] = {}
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


def found(*given, **more):
    return [f"{each.path}: {each.message}" for each in check(*given, **more)]


def test_references_to_observed_objects_are_allowed(loaded, observed):
    assert found(loaded(SPEC), observed=observed) == []


def test_without_the_broker_the_same_references_are_findings(loaded):
    assert {each.split(":")[0] for each in found(loaded(SPEC))} == {
        "spec.exchanges.own.alternateExchange",
        "spec.queues.q.deadLetter.exchange",
        "spec.bindings[0].source",
        "spec.bindings[1].queue",
        "spec.users.u.permissions.write",
        "spec.users.u.permissions.read",
        "spec.users.u.topicPermissions[0].exchange",
    }


def test_references_to_objects_that_are_about_to_be_deleted_are_findings(loaded, observed):
    deleted = frozenset({(ObjectKind.EXCHANGE, Key.of("dlx", "v")), (ObjectKind.QUEUE, Key.of("parking", "v"))})
    assert found(loaded(SPEC), observed=observed, to_be_deleted=deleted) == [
        "spec.exchanges.own.alternateExchange: no Topology declares exchange dlx",
        "spec.queues.q.deadLetter.exchange: no Topology declares exchange dlx",
        "spec.bindings[1].queue: no Topology declares queue parking",
        "spec.users.u.permissions.read: ^parking$ matches no declared exchange or queue",
    ]


def test_objects_of_another_virtual_host_do_not_count(loaded, observed):
    assert len(found(loaded(SPEC | {"vhost": "w"}), observed=observed)) == 7


def test_peers_may_be_referred_to_and_are_not_checked(loaded):
    wrong = {"exchanges": {"events": {"type": "topic"}}, "bindings": [{"source": "nowhere", "queue": "q"}]}
    own = {"queues": {"q": {}}, "bindings": [{"source": "events", "queue": "q", "routingKey": "a"}]}
    one, peer = loaded(own, wrong)
    assert found([one], [peer]) == []
    assert found([peer], [one]) == ["spec.bindings[0].source: no Topology declares exchange nowhere"]


def test_a_routing_key_is_followed_through_observed_bindings(loaded, observed):
    observed[ObjectKind.EXCHANGE][Key.of("dlx", "v")]["type"] = "direct"
    observed[ObjectKind.BINDING] = {Key.of_binding("v", "dlx", ("queue", "parking"), "park", {}): {}}
    queue = {"queues": {"q": {"deadLetter": {"exchange": "dlx", "routingKey": "park"}}}}
    assert found(loaded(queue), observed=observed) == []
    wrong = {"queues": {"q": {"deadLetter": {"exchange": "dlx", "routingKey": "parc"}}}}
    assert found(loaded(wrong), observed=observed) == [
        "spec.queues.q.deadLetter.routingKey: parc reaches no queue through dlx"
    ]
