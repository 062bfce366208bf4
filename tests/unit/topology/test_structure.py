"""All structural errors of one resource are found at once, with their paths."""

import pytest

import broker_topology


def test_a_typo_is_refused_with_its_path_and_the_right_name(findings):
    spec = {"queues": {"inventory.queue": {"deadLettr": {"exchange": "x"}}}}
    assert findings(spec) == ["spec.queues.inventory.queue.deadLettr: unknown field, did you mean deadLetter?"]


def test_all_findings_come_at_once(findings):
    spec = {
        "exchange": {},
        "exchanges": {"e": {"type": "topik"}, "f": {}},
        "queues": {"q": {"deliveryLimit": "many", "durable": "yes", "maxAge": "7 days"}},
        "bindings": {"a": "b"},
        "users": {"u": {"tags": "monitoring", "topicPermissions": [{"write": 5}]}},
    }
    assert findings(spec) == [
        "spec.bindings: must be a list, not a mapping",
        "spec.exchange: unknown field, did you mean exchanges?",
        "spec.exchanges.e.type: must be one of direct, fanout, headers, topic, x-consistent-hash, x-local-random, "
        "x-modulus-hash, not 'topik', did you mean topic?",
        "spec.exchanges.f.type: is required",
        "spec.queues.q.deliveryLimit: must be a whole number, not a string",
        "spec.queues.q.durable: must be true or false, not a string",
        "spec.queues.q.maxAge: '7 days' does not match ^[1-9][0-9]*[YMDhms]$",
        "spec.users.u.tags: must be a list, not a string",
        "spec.users.u.topicPermissions[0].write: must be a string, not a number",
        "spec.users.u.topicPermissions[0].exchange: is required",
    ]


@pytest.mark.parametrize(
    ("queue", "finding"),
    [
        ({"deliveryLimit": -2}, "deliveryLimit: must be at least -1, not -2"),
        ({"deliveryLimit": True}, "deliveryLimit: must be a whole number, not true or false"),
        ({"deliveryLimit": 1.5}, "deliveryLimit: must be a whole number, not a number"),
        ({"retry": {"minSeconds": 0, "maxSeconds": 1}}, "retry.minSeconds: must be more than 0, not 0"),
        ({"retry": {"minSeconds": 1}}, "retry.maxSeconds: is required"),
        ({"messageTtlSeconds": -1}, "messageTtlSeconds: must be at least 0, not -1"),
        ({"deadLetter": None, "retry": None}, None),
        ({"type": None}, "type: must be one of classic, quorum, stream, not empty"),
    ],
)
def test_values_out_of_range_are_findings(findings, queue, finding):
    expected = [] if finding is None else [f"spec.queues.q.{finding}"]
    assert findings({"queues": {"q": queue}}) == expected


@pytest.mark.parametrize(
    ("value", "finding"),
    [
        ("2026-01-01", ".since: must be a string, a number, a list or a mapping, not date; put it in quotes"),
        (".inf", ".since: must be a finite number, not inf"),
        ("[1, {1: a}]", ".since[1]: the key 1 must be a string; put it in quotes"),
        ("{a: [true, null, 1.5, b]}", None),
    ],
)
def test_arguments_are_what_json_can_carry(text, value, finding):
    plain = text({"queues": {"q": {"arguments": {"since": "HERE"}}}}).replace("HERE", value)
    if finding is None:
        assert broker_topology.parse(plain)
        return
    with pytest.raises(broker_topology.InvalidTopology) as refused:
        broker_topology.parse(plain, "a.yaml")
    assert str(refused.value) == f"a.yaml: spec.queues.q.arguments{finding}"


def test_another_kind_is_refused_and_not_skipped(text):
    with pytest.raises(broker_topology.InvalidTopology, match="did you mean Topology"):
        broker_topology.parse(text({}, kind="Toplogy"))


def test_resources_are_values(loaded):
    (one,), (two,) = loaded({}), loaded({})
    assert one.topology == two.topology
    with pytest.raises(AttributeError):
        one.topology.spec.vhost = "other"
