"""Each kind of object at the real broker is created, compared and repaired."""

import pytest

from broker_topology import InvalidTopology, apply, preview
from broker_topology.broker.management_api import path
from broker_topology.planning.plan import Action
from broker_topology.planning.rendering import title
from tests.integration.topology import full_spec

SPEC = {
    "vhostLimits": {"maxQueues": 50, "maxConnections": 20},
    "exchanges": {
        "events": {"type": "topic", "alternateExchange": "rest"},
        "rest": {"type": "fanout"},
        "dlx": {"type": "direct"},
        "by-header": {"type": "headers"},
        "by/slash %41": {"type": "x-modulus-hash", "internal": True},
    },
    "queues": {
        "q": {
            "deadLetter": {"exchange": "dlx", "routingKey": "park"},
            "retry": {"minSeconds": 1, "maxSeconds": 60},
            "deliveryLimit": 1000,
            "messageTtlSeconds": 60,
            "maxLength": 1000,
            "consumerTimeoutSeconds": 60,
            "singleActiveConsumer": True,
            "arguments": {"x-queue-leader-locator": "balanced"},
        },
        "parking": {"deliveryLimit": -1},
        "history": {"type": "stream", "maxAge": "7D", "arguments": {"x-stream-filter-size-bytes": 32}},
        "old/kind": {"type": "classic", "arguments": {"x-max-priority": 5}},
    },
    "bindings": [
        {"source": "events", "queue": "q", "routingKey": "order.*"},
        {"source": "events", "exchange": "rest", "routingKey": "#"},
        {"source": "rest", "queue": "history"},
        {"source": "dlx", "queue": "parking", "routingKey": "park"},
        {
            "source": "by-header",
            "queue": "old/kind",
            "arguments": {"x-match": "all", "tier": "gold", "count": 3, "flag": True},
        },
    ],
    **{part: full_spec.SPEC[part] for part in ("users", "policies", "operatorPolicies")},
}
WRITES = 1 + 2 + 5 + 4 + 5 + 1 + 1 + 1 + 2 + 1 + 1


@pytest.fixture
async def applied(broker, api):
    topologies = broker.topology(SPEC)
    done = await apply(topologies, api, broker.secrets)
    assert len(done.plan.writes) == WRITES
    return topologies


async def test_applying_twice_writes_nothing_the_second_time(broker, api, applied):
    api.requests.clear()
    again = await apply(applied, api, broker.secrets)
    assert not again.plan
    assert set(api.requests) == {"GET"}


async def test_preview_writes_nothing_anywhere(broker, api):
    api.requests.clear()
    plan = (await preview(broker.topology(SPEC), api, broker.secrets)).plan
    assert len(plan.writes) == WRITES
    assert set(api.requests) == {"GET"}
    assert not broker.secrets_dir.exists()


async def test_the_number_of_requests_does_not_grow_with_the_objects(broker, api):
    counts = []
    for size in (1, 60):
        topologies = broker.topology({"exchanges": {f"e{number}": {"type": "fanout"} for number in range(size)}})
        await apply(topologies, api, broker.secrets)
        api.requests.clear()
        await preview(topologies, api, broker.secrets)
        counts.append(api.requests.total())
    assert counts[0] == counts[1]


async def put(api, broker, kind, name, body):
    await api.put(path(kind, broker.vhost, name), body)


async def drift_of(broker, api, topologies):
    return [
        (step.action, title(step), [str(change) for change in step.changes])
        for step in (await preview(topologies, api, broker.secrets)).plan.steps
    ]


async def test_a_deleted_queue_comes_back_with_its_bindings(broker, api, applied):
    await api.delete(path("queues", broker.vhost, "q"))
    assert await drift_of(broker, api, applied) == [
        (Action.CREATE, "queue q (quorum)", []),
        (Action.CREATE, "binding events --order.*--> q", []),
    ]
    await apply(applied, api, broker.secrets)
    assert not (await preview(applied, api, broker.secrets)).plan


async def test_a_queue_with_other_arguments_is_blocked_and_the_rest_is_done(broker, api, applied):
    await api.delete(path("queues", broker.vhost, "q"))
    await put(api, broker, "queues", "q", {"durable": True, "arguments": {"x-queue-type": "classic"}})
    await api.delete(path("exchanges", broker.vhost, "rest"))
    done = await apply(applied, api, broker.secrets)
    (step,) = done.plan.blocked
    assert title(step) == "queue q (quorum)"
    assert "x-queue-type: classic -> quorum" in [str(change) for change in step.changes]
    assert [step.action for step in (await preview(applied, api, broker.secrets)).plan.steps] == [Action.BLOCKED]


async def test_an_exchange_of_another_type_is_blocked(broker, api, applied):
    await api.delete(path("exchanges", broker.vhost, "dlx"))
    await put(api, broker, "exchanges", "dlx", {"type": "topic", "durable": True})
    await apply(applied, api, broker.secrets)
    assert await drift_of(broker, api, applied) == [
        (Action.BLOCKED, "exchange dlx (direct)", ["type: topic -> direct"])
    ]


async def test_deleted_bindings_come_back(broker, api, applied):
    bindings = await api.get(path("bindings", broker.vhost))
    for each in bindings:
        if each["source"]:
            kind = each["destination_type"][0]
            await api.delete(
                path("bindings", broker.vhost, "e", each["source"], kind, each["destination"], each["properties_key"])
            )
    assert [line for _, line, _ in await drift_of(broker, api, applied)] == [
        "binding events --order.*--> q",
        "binding events --#--> rest",
        "binding rest --> history",
        "binding dlx --park--> parking",
        'binding by-header --{"count":3,"flag":true,"tier":"gold","x-match":"all"}--> old/kind',
    ]
    await apply(applied, api, broker.secrets)
    assert not (await preview(applied, api, broker.secrets)).plan


async def test_changed_policies_permissions_and_limits_are_put_right(broker, api, applied):
    writer = broker.user_name("writer")
    await put(api, broker, "policies", "short", {"pattern": "^x$", "apply-to": "all", "definition": {"max-length": 1}})
    await put(
        api,
        broker,
        "operator-policies",
        "cap",
        {"pattern": "^q$", "apply-to": "queues", "definition": {"expires": 9000000}},
    )
    await put(api, broker, "permissions", writer, {"configure": ".*", "write": "^events$", "read": "^q$"})
    await put(api, broker, "topic-permissions", writer, {"exchange": "events", "write": ".*", "read": "^$"})
    await api.put(path("user-limits", writer, "max-channels"), {"value": 1})
    await api.put(path("vhost-limits", broker.vhost, "max-queues"), {"value": 1000})
    assert sorted(await drift_of(broker, api, applied), key=lambda each: each[1]) == [
        (
            Action.UPDATE,
            "operator policy cap",
            ["max-length-bytes: (not set) -> 1000000000", "expires: 9000000 -> (not set)"],
        ),
        (Action.UPDATE, f"permission {writer}", ["configure: .* -> ^$"]),
        (
            Action.UPDATE,
            "policy short",
            ["pattern: ^x$ -> ^parking$", "apply-to: all -> quorum_queues", "max-length: 1 -> 9"],
        ),
        (Action.UPDATE, f"topic permission {writer} on events", ["write: .* -> ^order\\."]),
        (Action.UPDATE, f"user limit {writer} max-channels (50)", ["value: 1 -> 50"]),
        (Action.UPDATE, f"vhost limit {broker.vhost} max-queues (50)", ["value: 1000 -> 50"]),
    ]
    await apply(applied, api, broker.secrets)
    assert not (await preview(applied, api, broker.secrets)).plan


async def test_a_changed_password_is_put_right_and_the_user_logs_in(broker, api, applied):
    writer = broker.user_name("writer")
    await api.put(path("users", writer), {"password": "stolen", "tags": "administrator"})
    assert await drift_of(broker, api, applied) == [
        (
            Action.UPDATE,
            f"user {writer} (secret writer, monitoring)",
            ["tags: administrator -> monitoring", "password: another -> as in secret writer"],
        )
    ]
    await apply(applied, api, broker.secrets)
    credentials = await broker.credentials("writer")
    async with broker.channel(writer, credentials.password) as channel:
        await channel.queue_declare("q", passive=True)


async def test_changed_tags_are_put_right_and_the_password_stays(broker, api, applied):
    writer = broker.user_name("writer")
    (before,) = [each for each in await api.get(path("users")) if each["name"] == writer]
    await api.put(path("users", writer), {"password_hash": before["password_hash"], "tags": ""})
    await apply(applied, api, broker.secrets)
    (after,) = [each for each in await api.get(path("users")) if each["name"] == writer]
    assert (after["tags"], after["password_hash"]) == (["monitoring"], before["password_hash"])
    assert after["limits"] == before["limits"]


async def test_a_deleted_user_comes_back_with_its_rights(broker, api, applied):
    writer = broker.user_name("writer")
    await api.delete(path("users", writer))
    await apply(applied, api, broker.secrets)
    assert not (await preview(applied, api, broker.secrets)).plan


async def test_undeclared_objects_are_not_changed(broker, api, applied):
    await put(api, broker, "queues", "stranger", {"durable": True, "arguments": {"x-queue-type": "quorum"}})
    await put(api, broker, "policies", "strange", {"pattern": "^s$", "definition": {"max-length": 1}})
    assert not (await apply(applied, api, broker.secrets)).plan
    names = {each["name"] for each in await api.get(path("queues", broker.vhost))}
    assert "stranger" in names


async def test_a_refused_topology_writes_nothing(broker, api):
    topologies = broker.topology(SPEC | {"bindings": [{"source": "events", "queue": "nowhere", "routingKey": "a"}]})
    api.requests.clear()
    with pytest.raises(InvalidTopology, match=r"spec.bindings\[0\].queue: no Topology declares queue nowhere"):
        await apply(topologies, api, broker.secrets)
    assert not api.requests
    assert not broker.secrets_dir.exists()
