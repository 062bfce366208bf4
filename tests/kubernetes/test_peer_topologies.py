"""Several Topologies at one broker."""

import pytest

from tests.kubernetes.api_client import condition, has_reason
from tests.kubernetes.environment import OperatorEnv

SPECS = {
    "shared": {"exchanges": {"events": {"type": "topic"}, "dlx": {"type": "direct"}}},
    "shop": {
        "queues": {"shop.queue": {"deadLetter": {"exchange": "dlx", "routingKey": "shop.dlq"}}, "shop.dlq": {}},
        "bindings": [
            {"source": "events", "queue": "shop.queue", "routingKey": "order.*"},
            {"source": "dlx", "queue": "shop.dlq", "routingKey": "shop.dlq"},
        ],
    },
}


@pytest.mark.parametrize("order", [("shared", "shop"), ("shop", "shared")], ids="-".join)
async def test_topologies_that_need_each_other_may_be_created_in_any_order(
    env: OperatorEnv, order: tuple[str, str]
) -> None:
    await env.start_operator(retry_seconds="3600", retry_max_seconds="3600")
    await env.create(order[0], **SPECS[order[0]])
    first = await env.wait_until(order[0], lambda body: condition(body).get("status") in {"True", "False"})
    if order[0] == "shop":
        assert condition(first)["reason"] == "InvalidSpec"
        assert "no Topology declares exchange events" in condition(first)["message"]
    await env.create(order[1], **SPECS[order[1]])
    for name in order:
        await env.wait_until_ready(name)


@pytest.mark.usefixtures("operator")
async def test_of_two_owners_of_a_queue_the_first_keeps_it_and_the_second_has_a_conflict(env: OperatorEnv) -> None:
    await env.create_ready("first", queues={"q": {"maxLength": 10}})
    await env.create("second", queues={"q": {"maxLength": 20}, "own": {}})
    refused = await env.wait_until("second", has_reason("Conflict"))
    assert condition(refused, "Blocked")["status"] == "True"
    assert f"{env.namespace}/first" in condition(refused)["message"]
    queues = await env.at_broker("queues")
    assert queues["q"]["arguments"]["x-max-length"] == 10
    assert "own" not in queues, "an object of a refused Topology was written"
    assert condition(await env.get("first"))["status"] == "True"
    await env.delete("first")
    await env.wait_until_ready("second")
    assert (await env.at_broker("queues"))["q"]["arguments"]["x-max-length"] == 20
