"""Settings of the resource, super streams and rotation: their checks and their desired state."""

import pytest

from broker_topology.planning.desired import desired_state
from broker_topology.planning.state import Key, ObjectKind
from broker_topology.resource import super_streams


def user(**more):
    return {"users": {"u": {"secretName": "s"} | more}}


@pytest.mark.parametrize(
    ("spec", "finding"),
    [
        ({"broker": {}}, "spec.broker: needs exactly one of clusterRef and secretRef"),
        (
            {"broker": {"clusterRef": {"name": "a"}, "secretRef": {"name": "b"}}},
            "spec.broker: needs exactly one of clusterRef and secretRef",
        ),
        ({"broker": {"clusterRef": {"name": "A"}}}, "spec.broker.clusterRef.name: 'A' does not match"),
        ({"broker": {"clusterRef": {"name": ""}}}, "spec.broker.clusterRef.name: '' does not match"),
        ({"mode": "Dry"}, "spec.mode: must be one of Enforce, Plan, not 'Dry'"),
        ({"resyncSeconds": 1}, "spec.resyncSeconds: must be at least 5, not 1"),
        ({"resyncSeconds": 100_000}, "spec.resyncSeconds: must be at most 86400, not 100000"),
        (
            {"deleteWithMessages": {"vhost": "w"}},
            "spec.deleteWithMessages.vhost: must name this resource's virtual host, v, not w",
        ),
        (
            {"vhostSettings": {"tags": ["a,b"]}},
            "spec.vhostSettings.tags[0]: the broker separates tags by commas; write several",
        ),
        ({"vhostSettings": {"tags": [""]}}, "spec.vhostSettings.tags[0]: must not be empty"),
        (
            {"vhostSettings": {"description": "x" * 1025}},
            "spec.vhostSettings.description: is 1025 characters long; at most 1024 are possible",
        ),
        (user(tags=["a"] * 33), "spec.users.u.tags: has 33 entries; at most 32 fit into one resource, so use several"),
        (
            user(credentials="Import", rotation={"everyHours": 1}),
            "spec.users.u.rotation: rotation generates passwords, and credentials: Import forbids that",
        ),
        (
            user(rotation={"everyHours": 1, "overlapMinutes": 60}),
            "spec.users.u.rotation.overlapMinutes: is as long as everyHours (1): the previous user would never be",
        ),
        (
            {"superStreams": {"s": {"partitions": 3, "routingKeys": ["a", "b"]}}},
            "spec.superStreams.s.routingKeys: needs one for each of 3 partitions, not 2",
        ),
        (
            {"superStreams": {"s": {"partitions": 2, "routingKeys": ["a", "a"]}}},
            "spec.superStreams.s.routingKeys: names a key twice",
        ),
        (
            {"superStreams": {"s": {"partitions": 1, "arguments": {"x-max-age": "1D"}}}},
            "spec.superStreams.s.arguments.x-max-age: is not checked in this form; the field maxAge is",
        ),
        (
            {"superStreams": {"s": {"partitions": 1, "arguments": {"x-maxage": "1D"}}}},
            "spec.superStreams.s.arguments.x-maxage: RabbitMQ 4.3 ignores this argument on stream queues, "
            "did you mean x-max-age?",
        ),
        ({"superStreams": {"s": {"partitions": 0}}}, "spec.superStreams.s.partitions: must be at least 1, not 0"),
        ({"superStreams": {"amq.s": {"partitions": 1}}}, "spec.superStreams.amq.s: names beginning with amq."),
        (
            {"superStreams": {"s": {"partitions": 2}}, "queues": {"s-1": {}}},
            "spec.superStreams.s: is already defined at spec.queues.s-1",
        ),
        (
            {"superStreams": {"s": {"partitions": 2}}, "exchanges": {"s": {"type": "topic"}}},
            "spec.superStreams.s: is already defined at spec.exchanges.s",
        ),
    ],
)
def test_invalid_settings_are_refused(findings, spec, finding):
    (found,) = findings(spec)
    assert found.startswith(finding)


def test_only_one_resource_may_set_vhost_settings(findings):
    settings = {"vhostSettings": {"description": "a"}}
    assert findings(settings, settings) == [
        "b.yaml: spec.vhostSettings: is already defined at a.yaml: spec.vhostSettings"
    ]
    assert findings(settings, {}) == []


def test_a_super_stream_is_an_exchange_streams_and_bindings(loaded):
    spec = {"superStreams": {"invoices": {"partitions": 2, "maxAge": "1D", "routingKeys": ["eu", "us"]}}}
    state = desired_state(loaded(spec))
    assert state[ObjectKind.EXCHANGE][Key.of("invoices", "v")]["arguments"] == {"x-super-stream": True}
    stream = {"x-queue-type": "stream", "x-max-age": "1D"}
    assert [(key.name[0], body["arguments"]) for key, body in state[ObjectKind.QUEUE].items()] == [
        ("invoices-0", stream),
        ("invoices-1", stream),
    ]
    assert [key.name for key in state[ObjectKind.BINDING]] == [
        ("invoices", "queue", "invoices-0", "eu", '{"x-stream-partition-order":0}'),
        ("invoices", "queue", "invoices-1", "us", '{"x-stream-partition-order":1}'),
    ]


def test_partitions_are_numbered_from_zero(loaded):
    (item,) = loaded({"superStreams": {"s": {"partitions": 11}}})
    assert list(super_streams.queues(item.spec))[-1] == "s-10"
    assert [each.routing_key for each in super_streams.bindings(item.spec)][-1] == "10"


def test_partitions_may_be_referred_to(findings):
    spec = {
        "superStreams": {"s": {"partitions": 1}},
        "exchanges": {"e": {"type": "fanout"}},
        "bindings": [{"source": "e", "queue": "s-0"}, {"source": "e", "exchange": "s"}],
    }
    assert findings(spec) == []


def test_only_the_settings_in_the_spec_are_desired(loaded):
    assert desired_state(loaded({}))[ObjectKind.VHOST] == {Key.of("v"): {}}
    spec = {"vhostSettings": {"tags": ["b", "a"], "defaultQueueType": "quorum"}}
    assert desired_state(loaded(spec))[ObjectKind.VHOST] == {
        Key.of("v"): {"tags": ["a", "b"], "default_queue_type": "quorum"}
    }


def test_each_generation_of_a_user_gets_its_permissions_and_limits(loaded):
    spec = user(permissions={"configure": "^x"}, limits={"maxChannels": 1})
    state = desired_state(loaded(spec), {"u": ("u.1", "u.2")})
    for kind in (ObjectKind.USER, ObjectKind.PERMISSION, ObjectKind.USER_LIMIT):
        assert {key.name[0] for key in state[kind]} == {"u.1", "u.2"}
