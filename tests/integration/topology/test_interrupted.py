"""After an interruption at any request, the next run completes the work."""

from typing import Any

import pytest

from broker_topology import ManagementApi, Status
from broker_topology.broker.management_api import path
from broker_topology.errors import BrokerUnreachable

BEFORE = {
    "vhostLimits": {"maxQueues": 50},
    "exchanges": {"old": {"type": "topic"}, "stays": {"type": "topic"}},
    "queues": {"old": {"type": "classic"}, "stays": {"type": "classic"}},
    "bindings": [
        {"source": "old", "queue": "old", "routingKey": "a"},
        {"source": "stays", "queue": "stays", "routingKey": "a"},
    ],
    "users": {"old": {"secretName": "old", "limits": {"maxChannels": 5}}},
    "policies": {"old": {"pattern": "^old$", "definition": {"max-length": 5}}},
}
AFTER = {
    "exchanges": {"new": {"type": "topic"}, "stays": {"type": "topic"}},
    "queues": {"new": {"type": "classic"}, "stays": {"type": "classic"}},
    "bindings": [
        {"source": "stays", "queue": "new", "routingKey": "b"},
        {"source": "stays", "queue": "stays", "routingKey": "a"},
    ],
    "users": {
        "new": {
            "secretName": "new",
            "permissions": {"write": "^stays$"},
            "topicPermissions": [{"exchange": "stays", "write": "^new\\."}],
            "limits": {"maxConnections": 5},
        }
    },
    "operatorPolicies": {"new": {"pattern": "^new$", "definition": {"max-length": 5}}},
}


class Interrupted(ManagementApi):
    """Fails after `left` requests, before or (`late`) after the last one reaches the broker."""

    left = 10**9
    late = False

    async def _send(self, method: str, target: str, body: object | None = None) -> Any:
        self.left -= 1
        if self.left < 0 and not (self.late and self.left == -1):
            raise BrokerUnreachable("interrupted")
        answer = await super()._send(method, target, body)
        if self.left < 0:
            raise BrokerUnreachable("interrupted")
        return answer


@pytest.fixture
async def interrupted(broker):
    async with broker.api(Interrupted, concurrency=1) as api:
        yield api


EVERY = [
    pytest.param(11, False, id="some-unsent"),
    pytest.param(11, True, id="some-unanswered"),
    pytest.param(1, False, id="every-unsent", marks=[pytest.mark.long, pytest.mark.timeout(600)]),
    pytest.param(1, True, id="every-unanswered", marks=[pytest.mark.long, pytest.mark.timeout(600)]),
]


async def after(interrupted, stride, late, work):
    """Repeats the work, interrupted at each request in turn; yields after each interruption."""
    count = 0 if stride == 1 else 3
    while True:
        interrupted.left, interrupted.late = count, late
        try:
            await work(interrupted)
        except BrokerUnreachable:
            yield count
        else:
            return
        finally:
            interrupted.left = 10**9
        count += stride


async def held(api, broker):
    """Returns all objects of this test at the broker."""
    vhost = broker.vhost
    names = {}
    for section in ("exchanges", "queues", "policies", "operator-policies"):
        listed = await api.get(path(section, vhost))
        names[section] = sorted(each["name"] for each in listed if each["name"] and "amq." not in each["name"])
    bindings = await api.get(path("bindings", vhost))
    names["bindings"] = sorted((each["source"], each["destination"]) for each in bindings if each["source"])
    names["users"] = sorted(each["name"] for each in await api.get(path("users")) if broker.suffix in each["name"])
    names["limits"] = await api.get(path("vhost-limits", vhost))
    return names


@pytest.mark.parametrize(("stride", "late"), EVERY)
async def test_an_interrupted_change_is_completed_by_the_next_run(broker, api, interrupted, stride, late):
    async def change(through):
        outcome = await broker.reconcile(AFTER, api=through)
        assert outcome.ready

    interruptions = 0
    expected = None
    await broker.reconcile(BEFORE, api=api)
    async for count in after(interrupted, stride, late, change):
        interruptions += 1
        assert (await broker.reconcile(AFTER, api=api)).ready, f"after {count} requests"
        assert not (await broker.reconcile(AFTER, api=api)).plan
        expected = expected or await held(api, broker)
        assert await held(api, broker) == expected, f"after {count} requests"
        assert (await broker.reconcile(BEFORE, api=api)).ready
    assert interruptions > 40 // stride


@pytest.mark.parametrize(("stride", "late"), EVERY)
async def test_an_interrupted_finalization_is_completed_by_the_next_run(broker, api, interrupted, stride, late):
    async def end(through):
        await broker.finalize(BEFORE, api=through)

    spec = BEFORE | {"queues": {"old": {"type": "classic"}}, "bindings": BEFORE["bindings"][:1]}
    interruptions = 0
    await broker.reconcile(spec, api=api)
    async for count in after(interrupted, stride, late, end):
        interruptions += 1
        outcome = await broker.finalize(spec, api=api)
        assert {each.status for each in outcome.objects} <= {Status.DELETED}, f"after {count} requests"
        assert broker.vhost not in {each["name"] for each in await api.get(path("vhosts"))}
        assert broker.user_name("old") not in {each["name"] for each in await api.get(path("users"))}
        await broker.reconcile(spec, api=api)
    assert interruptions > 15 // stride


async def test_a_partly_created_resource_is_finalized(broker, api, interrupted):
    for count in (10, 16, 25):
        interrupted.left = count
        with pytest.raises(BrokerUnreachable):
            await broker.reconcile(AFTER, api=interrupted)
        interrupted.left = 10**9
        await broker.finalize(AFTER, api=api)
        assert broker.vhost not in {each["name"] for each in await api.get(path("vhosts"))}
        assert broker.user_name("new") not in {each["name"] for each in await api.get(path("users"))}
