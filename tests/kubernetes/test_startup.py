"""During an installation Topologies exist before their broker: no Warning until it takes too long."""

import functools

import pytest

from tests.kubernetes.api_client import eventually, has_reason
from tests.kubernetes.environment import OperatorEnv
from tests.kubernetes.operator_process import OperatorProcess


async def test_a_broker_that_is_still_starting_is_no_warning(env: OperatorEnv, operator: OperatorProcess) -> None:
    await env.delete_secret("broker")
    await env.create("shop", queues={"q": {}})
    await env.wait_until("shop", has_reason("SecretNotFound"))
    async with env.proxied_broker(refusing=True) as proxy:
        await env.wait_until("shop", has_reason("BrokerUnreachable"))
        proxy.heal()
        await env.wait_until_ready("shop")
        for reason in ("SecretNotFound", "BrokerUnreachable"):
            assert await env.events(reason, "Normal"), operator.log
            assert await env.events(reason, "Warning") == []
        # once the broker has been reached, losing it is a Warning
        proxy.refuse()
        await env.annotate("shop", reconcile="now")
        await env.wait_until("shop", has_reason("BrokerUnreachable"))
        await eventually(lambda: env.events("BrokerUnreachable", "Warning"))


async def test_a_broker_that_does_not_start_in_time_is_a_warning(env: OperatorEnv) -> None:
    await env.start_operator(broker_startup_seconds="3")
    async with env.proxied_broker(refusing=True):
        await env.create("shop", queues={"q": {}})
        for kind in ("Normal", "Warning"):
            await eventually(functools.partial(env.events, "BrokerUnreachable", kind))


@pytest.mark.usefixtures("operator")
async def test_an_invalid_spec_is_a_warning_at_once(env: OperatorEnv) -> None:
    await env.create("shop", bindings=[{"source": "nowhere", "queue": "nothing"}])
    await env.wait_until("shop", has_reason("InvalidSpec"))
    await eventually(lambda: env.events("InvalidSpec", "Warning"))
