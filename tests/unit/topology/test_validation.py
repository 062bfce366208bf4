"""The checks of the whole graph: mistakes that the broker would accept are found."""

import pytest

import broker_topology

DLX = {
    "exchanges": {"dlx": {"type": "direct"}, "events": {"type": "topic"}},
    "queues": {"parking": {}},
    "bindings": [{"source": "dlx", "queue": "parking", "routingKey": "park"}],
}


def with_queue(**queue):
    return DLX | {"queues": {"parking": {}, "q": queue}}


def with_user(**user):
    return DLX | {"users": {"u": {"secretName": "s"} | user}}


def test_a_sound_topology_has_no_findings(findings):
    spec = with_queue(deadLetter={"exchange": "dlx", "routingKey": "park"}, retry={"minSeconds": 1, "maxSeconds": 9})
    user = {"secretName": "s", "permissions": {"read": "^q$", "write": "^events$"}}
    spec["users"] = {"u": user | {"topicPermissions": [{"exchange": "events", "write": "^u\\."}]}}
    assert findings(spec) == []


def test_a_reference_may_be_to_another_resource(findings):
    queue = {"queues": {"q": {"deadLetter": {"exchange": "dlx", "routingKey": "park"}}}}
    assert findings(queue, DLX) == []


def test_dangling_bindings_are_findings(findings):
    spec = DLX | {
        "bindings": [
            *DLX["bindings"],
            {"source": "evnts", "queue": "parking", "routingKey": "a"},
            {"source": "events", "queue": "praking", "routingKey": "a"},
            {"source": "events", "exchange": "nowhere", "routingKey": "a"},
            {"source": "events", "routingKey": "a"},
            {"source": "", "queue": "parking"},
        ]
    }
    assert findings(spec) == [
        "spec.bindings[1].source: no Topology declares exchange evnts, did you mean events?",
        "spec.bindings[2].queue: no Topology declares queue praking, did you mean parking?",
        "spec.bindings[3].exchange: no Topology declares exchange nowhere",
        "spec.bindings[4]: needs exactly one of queue and exchange",
        "spec.bindings[5].source: the default exchange takes no bindings",
    ]


@pytest.mark.parametrize(
    ("dead_letter", "finding"),
    [
        ({"exchange": "dlq"}, "deadLetter.exchange: no Topology declares exchange dlq, did you mean dlx?"),
        ({"exchange": "dlx", "routingKey": "parc"}, "deadLetter.routingKey: parc reaches no queue through dlx"),
        ({"exchange": "events"}, "deadLetter.exchange: no queue is bound to exchange events"),
        ({"exchange": "", "routingKey": "lost"}, "deadLetter.routingKey: no Topology declares queue lost"),
    ],
)
def test_dead_letters_that_reach_no_queue_are_findings(findings, dead_letter, finding):
    assert findings(with_queue(deadLetter=dead_letter)) == [f"spec.queues.q.{finding}"]


def test_a_dead_letter_route_back_to_its_own_queue_is_a_finding(findings):
    spec = with_queue(deadLetter={"exchange": "dlx", "routingKey": "self"})
    spec["bindings"] = [{"source": "dlx", "queue": "q", "routingKey": "self"}]
    assert findings(spec) == ["spec.queues.q.deadLetter: leads back to this same queue"]


@pytest.mark.parametrize(
    ("alternate", "finding"),
    [
        ("nowhere", "no Topology declares exchange nowhere"),
        ("events", "is the exchange itself"),
        ("lonely", "no queue is bound to exchange lonely"),
    ],
)
def test_an_alternate_exchange_must_lead_to_a_queue(findings, alternate, finding):
    exchanges = DLX["exchanges"] | {"lonely": {"type": "fanout"}}
    exchanges["events"] = {"type": "topic", "alternateExchange": alternate}
    assert findings(DLX | {"exchanges": exchanges}) == [f"spec.exchanges.events.alternateExchange: {finding}"]


@pytest.mark.parametrize(
    ("queue", "finding"),
    [
        (
            {"arguments": {"x-max-priority": 5}},
            "arguments.x-max-priority: RabbitMQ 4.3 refuses this argument on quorum queues: quorum queues of "
            "4.3 order by priority without it (0 to 31, 4 when a message has none)",
        ),
        (
            {"arguments": {"x-queue-leader-lokator": "balanced"}},
            "arguments.x-queue-leader-lokator: RabbitMQ 4.3 ignores this argument on quorum queues, "
            "did you mean x-queue-leader-locator?",
        ),
        (
            {"arguments": {"x-delivery-limit": 5}},
            "arguments.x-delivery-limit: is not checked in this form; the field deliveryLimit is",
        ),
        ({"durable": False}, "durable: quorum queues are always durable"),
        ({"autoDelete": True}, "autoDelete: quorum queues cannot delete themselves"),
        ({"maxAge": "7D"}, "maxAge: quorum queues do not support it"),
        ({"overflow": "reject-publish-dlx"}, "overflow: quorum queues do not support reject-publish-dlx"),
        ({"retry": {"minSeconds": 9, "maxSeconds": 1}}, "retry.maxSeconds: is less than minSeconds (9)"),
        (
            {"overflow": "drop-head", "deadLetter": {"exchange": "dlx", "routingKey": "park"}},
            "overflow: at-least-once dead-lettering needs reject-publish; anything else silently turns it off",
        ),
        ({"type": "stream", "deliveryLimit": 3}, "deliveryLimit: stream queues do not support it"),
        ({"type": "stream", "maxLength": 3}, "maxLength: stream queues do not support it"),
        ({"type": "classic", "deliveryLimit": 3}, "deliveryLimit: classic queues do not support it"),
        ({"type": "classic", "consumerTimeoutSeconds": 3}, "consumerTimeoutSeconds: classic queues do not support it"),
        (
            {"type": "classic", "deadLetter": {"exchange": "dlx", "routingKey": "park", "strategy": "at-least-once"}},
            "deadLetter.strategy: at-least-once needs a quorum queue",
        ),
        (
            {"type": "classic", "durable": False},
            "durable: 4.3 deprecates transient queues that are shared; make it durable",
        ),
    ],
)
def test_queue_arguments_that_the_broker_refuses_or_ignores_are_findings(findings, queue, finding):
    assert findings(with_queue(**queue)) == [f"spec.queues.q.{finding}"]


@pytest.mark.parametrize(
    "queue",
    [
        {"type": "stream", "maxAge": "7D", "maxLengthBytes": 10**9},
        {"type": "classic", "arguments": {"x-max-priority": 5}},
        {"overflow": "drop-head", "deadLetter": {"exchange": "dlx", "routingKey": "park", "strategy": "at-most-once"}},
        {"arguments": {"x-expires": 60000, "owner": "shop"}, "singleActiveConsumer": True, "deliveryLimit": -1},
    ],
)
def test_queue_arguments_that_the_broker_accepts_are_no_findings(findings, queue):
    assert findings(with_queue(**queue)) == []


def test_a_definition_has_one_owner(findings):
    one = DLX | {"policies": {"p": {"pattern": ".*", "definition": {}}}}
    two = {
        "exchanges": {"dlx": {"type": "fanout"}},
        "bindings": DLX["bindings"],
        "policies": {"p": {"pattern": "^a", "definition": {}}},
    }
    assert findings(one, two) == [
        "b.yaml: spec.exchanges.dlx: is already defined at a.yaml: spec.exchanges.dlx",
        "b.yaml: spec.policies.p: is already defined at a.yaml: spec.policies.p",
        "b.yaml: spec.bindings[0]: is already defined at a.yaml: spec.bindings[0]",
    ]


def test_the_same_names_in_two_virtual_hosts_are_no_conflict(findings):
    assert findings(DLX, DLX | {"vhost": "other"}) == []


def test_a_user_of_two_virtual_hosts_is_one_user(findings):
    one, two = with_user(tags=["management"]), with_user(tags=[]) | {"vhost": "other"}
    assert findings(one, one | {"vhost": "other"}) == []
    assert findings(one, two) == [
        "b.yaml: spec.users.u: users belong to the whole broker, and a.yaml gives this one another secretName, "
        "tags or limits"
    ]


@pytest.mark.parametrize(
    ("user", "finding"),
    [
        ({"secretName": None}, "secretName: is required: it holds the user's password"),
        ({"secretName": "../s"}, "secretName: '../s' is not a name"),
        (
            {"permissions": {"read": "^(q$"}},
            "permissions.read: ^(q$ cannot be checked here, only the broker knows what it matches",
        ),
        ({"permissions": {"read": "^praking$"}}, "permissions.read: ^praking$ matches no declared exchange or queue"),
        ({"permissions": {"write": "^event$"}}, "permissions.write: ^event$ matches no declared exchange or queue"),
        (
            {"permissions": {"write": "^events$"}},
            "topicPermissions: permissions.write allows topic exchange events, and without a topic permission there "
            "every routing key is allowed; add one",
        ),
        (
            {"topicPermissions": [{"exchange": "evnts", "write": ".*"}]},
            "topicPermissions[0].exchange: no Topology declares exchange evnts, did you mean events?",
        ),
        (
            {"permissions": {"write": "^dlx$"}, "topicPermissions": [{"exchange": "dlx", "write": ".*"}]},
            "topicPermissions[0].exchange: dlx is a direct exchange; topic permissions apply to topic exchanges only",
        ),
        (
            {"topicPermissions": [{"exchange": "events", "write": "^u\\."}]},
            "topicPermissions[0].write: has no effect: permissions.write (^$) does not match events",
        ),
        (
            {"permissions": {"write": "^events$"}, "topicPermissions": [{"exchange": "events", "write": "a"}] * 2},
            "topicPermissions[1].exchange: events is named twice",
        ),
    ],
)
def test_users_that_could_not_work_or_could_do_too_much_are_findings(findings, user, finding):
    assert findings(with_user(**user)) == [f"spec.users.u.{finding}"]


def test_topic_permissions_may_name_the_user_by_template(findings):
    user = with_user(
        permissions={"write": "^events$"}, topicPermissions=[{"exchange": "events", "write": "^{username}\\."}]
    )
    assert findings(user) == []


def test_a_user_that_declares_queues_may_name_them(findings):
    reply = "^rpc\\.reply\\.u\\."
    assert findings(with_user(permissions={"configure": reply, "write": reply, "read": reply})) == []


def test_names_of_more_than_255_bytes_are_findings(findings):
    fits, too_long = "ä" * 127 + "a", "ä" * 128
    binding = {"source": "events", "queue": "parking", "routingKey": too_long}
    spec = DLX | {"exchanges": DLX["exchanges"] | {fits: {"type": "fanout"}, too_long: {"type": "fanout"}}}
    spec["bindings"] = [*DLX["bindings"], binding]
    size = "is 256 bytes long; the broker takes at most 255"
    assert findings(spec) == [f"spec.exchanges.{too_long}: {size}", f"spec.bindings[1].routingKey: {size}"]


def test_reserved_and_empty_names_are_findings(findings):
    assert findings({"queues": {"amq.mine": {}, "": {}}}) == [
        "spec.queues.: the name is empty",
        "spec.queues.amq.mine: names beginning with amq. are reserved by the broker",
    ]


def test_parts_of_a_binding_that_its_exchange_ignores_are_findings(findings):
    exchanges = DLX["exchanges"] | {"by-header": {"type": "headers"}}
    bindings = [
        *DLX["bindings"],
        {"source": "by-header", "queue": "parking"},
        {"source": "by-header", "queue": "parking", "arguments": {"x-match": "some", "tier": "gold"}},
        {"source": "events", "queue": "parking"},
    ]
    assert findings(DLX | {"exchanges": exchanges, "bindings": bindings}) == [
        "spec.bindings[1].arguments: a headers exchange matches on headers; name at least one",
        "spec.bindings[2].arguments.x-match: 'some' is not one of all, any, all-with-x, any-with-x",
        "spec.bindings[3].routingKey: is empty, and exchange events routes by it (topic)",
    ]


@pytest.mark.parametrize("pattern", ["\\z", "\\p{L}", "ab(?i)c", "(?<n>x)", "\\Q.\\E", "[[:alpha:]]", "", "a{,3}"])
def test_expressions_of_the_brokers_dialect_are_valid(loaded, pattern):
    permissions = {"configure": pattern, "write": pattern, "read": pattern}
    spec = with_user(permissions=permissions, topicPermissions=[{"exchange": "events", "write": pattern}])
    policies = {"p": {"pattern": pattern, "definition": {"max-length": 5}}}
    found = broker_topology.check(loaded(spec | {"policies": policies, "operatorPolicies": policies}))
    assert [str(each) for each in found if not each.warning] == []


def test_an_empty_permission_permits_nothing(findings):
    assert findings(with_user(permissions={"write": "", "read": "", "configure": ""})) == []
    assert findings(with_user(permissions={"write": ""}, topicPermissions=[{"exchange": "events", "write": "a"}])) == [
        "spec.users.u.topicPermissions[0].write: has no effect: permissions.write () does not match events"
    ]


def test_an_open_topic_exchange_is_a_warning_unless_strict(loaded):
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    spec = with_user(permissions=everything)
    (found,) = broker_topology.check(loaded(spec))
    assert (found.warning, found.subject) == (True, ("users", "u"))
    broker_topology.validate(loaded(spec))
    with pytest.raises(broker_topology.InvalidTopology, match="every routing key is allowed"):
        broker_topology.validate(loaded(spec | {"strict": True}))


@pytest.mark.parametrize("name", [".", ".."])
def test_names_that_no_request_can_address_are_refused(findings, name):
    spec = {
        "exchanges": {name: {"type": "fanout"}},
        "queues": {name: {}},
        "users": {name: {"secretName": "s"}},
        "policies": {name: {"pattern": "a", "definition": {"max-length": 1}}},
        "bindings": [{"source": "amq.topic", "queue": name, "routingKey": name}],
    }
    found = findings(spec)
    assert len(found) == 5
    assert all("management API cannot" in each for each in found)


def test_names_that_the_broker_would_change_are_refused(findings):
    (one, two) = findings({"exchanges": {"a\r\nb": {"type": "fanout"}}, "queues": {"c\n": {}}})
    assert "removes line breaks from the names" in one
    assert "removes line breaks from the names" in two


@pytest.mark.parametrize(
    "binding",
    [{"routingKey": "a~b", "arguments": {"n": 1}}, {"routingKey": "a", "arguments": {"n": None}}],
)
def test_bindings_that_the_management_api_cannot_list_are_refused(findings, binding):
    spec = {"queues": {"q": {}}, "bindings": [{"source": "amq.topic", "queue": "q"} | binding]}
    (found,) = findings(spec)
    assert "management API fails to list all bindings" in found


def test_two_users_never_share_a_secret(findings):
    spec = {"users": {"my.app": {"secretName": "my-app"}, "my-app": {"secretName": "my-app"}}}
    assert findings(spec) == ["spec.users.my.app.secretName: my-app is the secret of user my-app already"]


def test_a_finding_names_its_object_even_with_dots(loaded):
    queues = {"a": {"deadLetter": {"exchange": "no"}}, "a.deadLetter": {"deadLetter": {"exchange": "no"}}}
    found = broker_topology.check(loaded({"queues": queues}))
    assert [each.subject for each in found] == [("queues", "a"), ("queues", "a.deadLetter")]
