"""Plans are pure: two states in, ordered steps out."""

from copy import deepcopy

import pytest

from broker_topology.credentials.passwords import WRITTEN_ALGORITHM, hash_password
from broker_topology.credentials.secrets import Credentials
from broker_topology.planning.desired import desired_state
from broker_topology.planning.plan import STAGES, Action, plan
from broker_topology.planning.rendering import lines, summary
from broker_topology.planning.state import Key, ObjectKind, empty_state

SPEC = {
    "vhostLimits": {"maxQueues": 10},
    "exchanges": {"events": {"type": "topic"}, "dlx": {"type": "fanout"}},
    "queues": {"q": {"deadLetter": {"exchange": "dlx"}, "deliveryLimit": 20}, "parking": {"deliveryLimit": -1}},
    "bindings": [{"source": "events", "queue": "q", "routingKey": "a.*"}, {"source": "dlx", "queue": "parking"}],
    "users": {
        "u": {
            "secretName": "s",
            "permissions": {"write": "^events$"},
            "topicPermissions": [{"exchange": "events", "write": "^u\\."}],
            "limits": {"maxConnections": 4},
        }
    },
    "policies": {"p": {"pattern": "^q$", "definition": {"max-length": 5}}},
}
KNOWN = {"u": Credentials("u", "right")}


@pytest.fixture
def desired(loaded):
    return desired_state(loaded(SPEC))


@pytest.fixture
def observed(desired):
    """A broker that holds every desired object."""
    state = deepcopy(desired)
    state[ObjectKind.USER][Key.of("u")] = {
        "tags": [],
        "password_hash": hash_password("right"),
        "hashing_algorithm": WRITTEN_ALGORITHM,
    }
    return state


def test_everything_is_created_in_dependency_order(desired):
    steps = plan(desired, empty_state(), {"u": None}).steps
    assert {step.action for step in steps} == {Action.CREATE}
    position = {kind: number for number, stage in enumerate(STAGES) for kind in stage}
    assert [position[step.kind] for step in steps] == sorted(position[step.kind] for step in steps)
    assert set(position) == set(ObjectKind)


def test_permissions_come_last_because_topic_permissions_fail_open(desired):
    kinds = [step.kind for step in plan(desired, empty_state(), KNOWN).steps]
    assert (
        kinds.index(ObjectKind.PERMISSION) > kinds.index(ObjectKind.TOPIC_PERMISSION) > kinds.index(ObjectKind.EXCHANGE)
    )


def test_equal_states_need_no_step(desired, observed):
    steps = plan(desired, observed, KNOWN)
    assert not steps
    assert summary(steps) == "nothing to do"


def test_undeclared_objects_get_no_step(desired, observed):
    stranger = Key.of("stranger", "v")
    for kind in (ObjectKind.QUEUE, ObjectKind.EXCHANGE, ObjectKind.POLICY, ObjectKind.PERMISSION):
        observed[kind][stranger] = next(iter(observed[kind].values()))
    assert not plan(desired, observed, KNOWN)


def test_a_queue_with_other_arguments_is_blocked_with_the_exact_difference(desired, observed):
    arguments = observed[ObjectKind.QUEUE][Key.of("q", "v")]["arguments"]
    arguments["x-delivery-limit"] = 5
    arguments["x-max-length"] = 100
    (step,) = plan(desired, observed, KNOWN).blocked
    assert [str(change) for change in step.changes] == ["x-delivery-limit: 5 -> 20", "x-max-length: 100 -> (not set)"]
    assert list(lines(plan(desired, observed, KNOWN))) == [
        "! blocked queue q (quorum)",
        "    x-delivery-limit: 5 -> 20",
        "    x-max-length: 100 -> (not set)",
        "    type and arguments of an existing queue cannot be changed",
    ]


def test_an_exchange_of_another_type_is_blocked(desired, observed):
    observed[ObjectKind.EXCHANGE][Key.of("events", "v")]["type"] = "direct"
    (step,) = plan(desired, observed, KNOWN).steps
    assert (step.action, str(step.changes[0])) == (Action.BLOCKED, "type: direct -> topic")


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (ObjectKind.POLICY, "pattern", "^other$"),
        (ObjectKind.PERMISSION, "write", ".*"),
        (ObjectKind.TOPIC_PERMISSION, "write", ".*"),
        (ObjectKind.USER_LIMIT, "value", 1),
        (ObjectKind.VHOST_LIMIT, "value", 1),
        (ObjectKind.USER, "tags", ["administrator"]),
    ],
)
def test_changes_that_the_broker_can_make_in_place_are_updates(desired, observed, kind, field, value):
    ((key, body),) = observed[kind].items()
    observed[kind][key] = {**body, field: value}
    (step,) = plan(desired, observed, KNOWN).steps
    assert (step.action, step.kind, [change.field for change in step.changes]) == (Action.UPDATE, kind, [field])


def test_a_changed_password_is_an_update_that_shows_no_password(desired, observed):
    (step,) = plan(desired, observed, {"u": Credentials("u", "other")}).steps
    assert str(step.changes[0]) == "password: another -> as in secret s"
    assert "other" not in str(step.body)
    assert "password_hash" not in step.body


def test_changed_tags_keep_the_password(desired, observed):
    user = observed[ObjectKind.USER][Key.of("u")]
    user["tags"] = ["administrator"]
    (step,) = plan(desired, observed, KNOWN).steps
    assert step.body["password_hash"] == user["password_hash"]


def test_a_missing_secret_of_an_existing_user_is_a_new_password(desired, observed):
    (step,) = plan(desired, observed, {"u": None}).steps
    assert str(step.changes[0]) == "password: unknown -> generated into secret s"


def test_true_and_one_are_different_values(desired, observed):
    observed[ObjectKind.QUEUE][Key.of("q", "v")]["durable"] = 1
    assert plan(desired, observed, KNOWN).blocked


def test_fields_are_translated_into_arguments(loaded):
    spec = {
        "queues": {
            "q": {
                "deadLetter": {"exchange": "dlx", "routingKey": "park"},
                "retry": {"minSeconds": 0.5, "maxSeconds": 60},
                "deliveryLimit": -1,
                "messageTtlSeconds": 86400,
                "maxLength": 10,
                "consumerTimeoutSeconds": 30,
                "singleActiveConsumer": True,
                "arguments": {"x-expires": 1000},
            },
            "s": {"type": "stream", "maxAge": "7D", "maxLengthBytes": 5000},
            "c": {"type": "classic", "deadLetter": {"exchange": "dlx"}, "overflow": "reject-publish-dlx"},
            "once": {"deadLetter": {"exchange": "dlx", "strategy": "at-most-once"}},
        }
    }
    queues = desired_state(loaded(spec))[ObjectKind.QUEUE]
    assert {key.name[0]: body["arguments"] for key, body in queues.items()} == {
        "q": {
            "x-queue-type": "quorum",
            "x-dead-letter-exchange": "dlx",
            "x-dead-letter-routing-key": "park",
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
            "x-delayed-retry-type": "failed",
            "x-delayed-retry-min": 500,
            "x-delayed-retry-max": 60000,
            "x-delivery-limit": -1,
            "x-message-ttl": 86400000,
            "x-max-length": 10,
            "x-consumer-timeout": 30000,
            "x-single-active-consumer": True,
            "x-expires": 1000,
        },
        "s": {"x-queue-type": "stream", "x-max-age": "7D", "x-max-length-bytes": 5000},
        "c": {"x-queue-type": "classic", "x-dead-letter-exchange": "dlx", "x-overflow": "reject-publish-dlx"},
        "once": {"x-queue-type": "quorum", "x-dead-letter-exchange": "dlx", "x-dead-letter-strategy": "at-most-once"},
    }


def test_a_plan_is_rendered_as_lines(desired):
    shown = list(lines(plan(desired, empty_state(), {"u": None})))
    assert shown == [
        "+ vhost v",
        "+ user u (secret s)",
        "+ vhost limit v max-queues (10)",
        "+ user limit u max-connections (4)",
        "+ exchange dlx (fanout)",
        "+ exchange events (topic)",
        "+ policy p",
        "+ queue parking (quorum)",
        "+ queue q (quorum)",
        "+ binding events --a.*--> q",
        "+ binding dlx --> parking",
        "+ topic permission u on events (write ^u\\., read ^$)",
        "+ permission u (configure ^$, write ^events$, read ^$)",
    ]
    assert next(lines(plan(desired, empty_state(), {}), colour=True)) == "\033[32m+ vhost v\033[0m"
