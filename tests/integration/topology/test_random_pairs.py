"""After any two topologies, the broker is in the state of the second one."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as some

from broker_topology import InvalidTopology, Status
from broker_topology.planning.plan import Action
from tests.conftest import SEED

EXCHANGES = ["e0", "e1", "e2"]
QUEUES = ["q0", "q1", "q2"]


def subset(names, what):
    return some.dictionaries(some.sampled_from(names), what, max_size=len(names))


exchanges = subset(
    EXCHANGES,
    some.fixed_dictionaries(
        {"type": some.sampled_from(["topic", "fanout", "headers"])}, optional={"internal": some.booleans()}
    ),
)
queues = subset(
    QUEUES,
    some.fixed_dictionaries(
        {"type": some.just("classic")},
        optional={"maxLength": some.integers(1, 3), "messageTtlSeconds": some.sampled_from([1, 1.5])},
    ),
)
policies = subset(
    ["p0", "p1"],
    some.fixed_dictionaries(
        {"pattern": some.sampled_from(["^q", "^q0$"]), "definition": some.sampled_from([{"max-length": 5}, {}])},
        optional={"priority": some.integers(0, 2), "applyTo": some.sampled_from(["all", "queues"])},
    ).filter(lambda policy: policy["definition"]),
)
limits = some.fixed_dictionaries({}, optional={"maxQueues": some.integers(50, 60), "maxConnections": some.just(70)})


@some.composite
def topologies(draw) -> dict[str, Any]:
    """A valid topology."""
    spec: dict[str, Any] = {
        "exchanges": draw(exchanges),
        "queues": draw(queues),
        "policies": draw(policies),
        "operatorPolicies": draw(policies),
        "vhostLimits": draw(limits),
    }
    if spec["exchanges"]:
        spec["bindings"] = draw(some.lists(binding(spec), max_size=5, unique_by=repr))
    spec["users"] = {}
    for name in draw(some.sets(some.sampled_from(["u0", "u1"]))):
        spec["users"][name] = draw(user(spec, name))
    return spec


@some.composite
def binding(draw, spec) -> dict[str, Any]:
    source = draw(some.sampled_from(sorted(spec["exchanges"])))
    kinds = [kind for kind in ("exchange", "queue") if spec[f"{kind}s"]]
    kind = draw(some.sampled_from(kinds))
    made = {"source": source, kind: draw(some.sampled_from(sorted(spec[f"{kind}s"])))}
    if spec["exchanges"][source]["type"] == "headers":
        return made | {"arguments": {"x-match": "all", "tier": draw(some.sampled_from(["gold", "silver"]))}}
    return made | {"routingKey": draw(some.sampled_from(["a", "a.*", "#"]))}


@some.composite
def user(draw, spec, name) -> dict[str, Any]:
    made: dict[str, Any] = {"secretName": name, "tags": draw(some.sampled_from([[], ["monitoring"]]))}
    made["limits"] = draw(some.fixed_dictionaries({}, optional={"maxChannels": some.integers(1, 3)}))
    if spec["exchanges"]:
        exchange = draw(some.sampled_from(sorted(spec["exchanges"])))
        made["permissions"] = {"write": f"^{exchange}$"}
        if spec["exchanges"][exchange]["type"] == "topic":
            made["topicPermissions"] = [{"exchange": exchange, "write": draw(some.sampled_from(["^a", "^b"]))}]
    return made


def blocked(first, second):
    """Returns the objects that both have with different arguments, which the broker cannot change."""
    return {
        name
        for section in ("exchanges", "queues")
        for name, body in second[section].items()
        if name in first[section] and defaults(first[section][name]) != defaults(body)
    }


def defaults(body):
    return {"internal": False} | body


async def reconcile_pair(broker, api, pair):
    """Reconciles the first, then the second topology; a third run has nothing to do."""
    first, second = pair
    await broker.finalize({}, api=api)
    assert (await broker.reconcile(first, api=api)).ready
    try:
        outcome = await broker.reconcile(second, api=api)
    except InvalidTopology as refused:
        raise AssertionError(str(refused)) from refused
    assert outcome.failures == ()
    assert {each.name for each in outcome.of(Status.BLOCKED)} == blocked(first, second)
    assert not outcome.of(Status.PENDING, Status.FAILED, Status.RETAINED), [str(each) for each in outcome.objects]
    api.requests.clear()
    again = await broker.reconcile(second, api=api)
    assert {step.action for step in again.plan.steps} <= {Action.BLOCKED}
    assert set(api.requests) == {"GET"}


pairs = some.tuples(topologies(), topologies())
QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


@seed(SEED)
@settings(max_examples=15, deadline=None, database=None, suppress_health_check=QUIET)
@given(pair=pairs)
async def test_some_pairs(broker, api, pair):
    await reconcile_pair(broker, api, pair)


@pytest.mark.long
@pytest.mark.timeout(900)
@seed(SEED)
@settings(max_examples=150, deadline=None, database=None, suppress_health_check=QUIET)
@given(pair=pairs)
async def test_many_pairs(broker, api, pair):
    await reconcile_pair(broker, api, pair)
