"""From creation to deletion."""

from tests.kubernetes.api_client import SECRET, condition, is_ready, texts_of
from tests.kubernetes.environment import OperatorEnv


async def test_a_new_resource_becomes_ready_when_the_broker_holds_it(env: OperatorEnv) -> None:
    await env.operator()
    await env.create(
        "shop",
        exchanges={"events": {"type": "topic"}},
        queues={"shop.queue": {}},
        bindings=[{"source": "events", "queue": "shop.queue", "routingKey": "order.*"}],
        users={env.user("shop"): {"secretName": "shop-rabbitmq", "permissions": {"read": "^shop"}}},
    )
    ready = await env.until("shop")
    assert set(await env.at_broker("queues")) == {"shop.queue"}
    status = ready["status"]
    assert status["summary"]["desired"] == status["summary"]["synced"] == len(status["objects"])
    assert {each["state"] for each in status["objects"]} == {"Ready"}
    assert status["broker"]["address"] == env.address.management_url
    assert condition(ready, "Drifted")["status"] == "False"
    secret = await env.cluster.get(SECRET, env.namespace, "shop-rabbitmq")
    assert secret is not None
    assert texts_of(secret)["username"] == env.user("shop")
    assert texts_of(secret)["password"] not in env.logs()
    (owner,) = secret["metadata"]["ownerReferences"]
    assert owner["uid"] == ready["metadata"]["uid"]


async def test_a_changed_spec_is_written_and_what_it_no_longer_names_is_pruned(env: OperatorEnv) -> None:
    await env.operator()
    await env.create("shop", queues={"old": {}, "kept": {}})
    await env.until("shop")
    await env.change("shop", queues={"old": None, "new": {"maxLength": 10}})
    await env.until("shop")
    queues = await env.at_broker("queues")
    assert set(queues) == {"kept", "new"}
    assert queues["new"]["arguments"]["x-max-length"] == 10


async def test_a_deleted_resource_takes_its_objects_along(env: OperatorEnv) -> None:
    operator = await env.operator()
    await env.create("shop", queues={"q": {}}, users={env.user("u"): {"secretName": "u"}})
    await env.until("shop", is_ready)
    await env.delete("shop")
    await env.until_gone("shop")
    assert await env.at_broker("queues") == {}
    assert await env.at_broker("users") == {}
    await env.cluster.until_gone(SECRET, env.namespace, "u")
    assert operator.told("cleanup finished")
