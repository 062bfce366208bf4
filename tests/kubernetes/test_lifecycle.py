"""A Topology from its creation to its deletion."""

import pytest

from tests.kubernetes.api_client import SECRET, condition
from tests.kubernetes.environment import OperatorEnv
from tests.kubernetes.operator_process import OperatorProcess

pytestmark = pytest.mark.usefixtures("operator")


async def test_a_new_topology_becomes_ready(env: OperatorEnv) -> None:
    ready = await env.create_ready(
        "shop",
        exchanges={"events": {"type": "topic"}},
        queues={"shop.queue": {}},
        bindings=[{"source": "events", "queue": "shop.queue", "routingKey": "order.*"}],
        users={env.user("shop"): {"secretName": "shop-rabbitmq", "permissions": {"read": "^shop"}}},
    )
    assert set(await env.at_broker("queues")) == {"shop.queue"}
    status = ready["status"]
    assert status["summary"]["desired"] == status["summary"]["synced"] == len(status["objects"])
    assert {each["state"] for each in status["objects"]} == {"Ready"}
    assert status["broker"]["address"] == env.broker.management_url
    assert condition(ready, "Drifted")["status"] == "False"
    secret = await env.secret("shop-rabbitmq")
    assert secret["username"] == env.user("shop")
    assert secret["password"] not in env.logs()
    (owner,) = await env.owners("shop-rabbitmq")
    assert owner["uid"] == ready["metadata"]["uid"]


async def test_a_changed_spec_is_applied_and_removed_objects_are_pruned(env: OperatorEnv) -> None:
    await env.create_ready("shop", queues={"old": {}, "kept": {}})
    await env.change_ready("shop", queues={"old": None, "new": {"maxLength": 10}})
    queues = await env.at_broker("queues")
    assert set(queues) == {"kept", "new"}
    assert queues["new"]["arguments"]["x-max-length"] == 10


async def test_the_objects_of_a_deleted_topology_are_deleted(env: OperatorEnv, operator: OperatorProcess) -> None:
    await env.create_ready("shop", queues={"q": {}}, users={env.user("u"): {"secretName": "u"}})
    await env.delete("shop")
    assert await env.at_broker("queues") == {}
    assert await env.at_broker("users") == {}
    await env.api.wait_until_gone(SECRET, env.namespace, "u")
    assert operator.logged("cleanup finished")
