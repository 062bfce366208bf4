"""An installation: resources are there before their broker is, and that is no Warning until it takes too long."""

from faults.proxy import FaultProxy
from tests.kubernetes.api_client import SECRET, eventually, has
from tests.kubernetes.environment import OperatorEnv
from tests.kubernetes.test_broker_unavailable import port_of, through


async def test_a_broker_that_is_not_up_yet_is_no_warning(env: OperatorEnv) -> None:
    operator = await env.operator()
    await env.cluster.delete(SECRET, env.namespace, "broker")
    async with FaultProxy(port_of(env)).serving() as proxy:
        proxy.refuse()
        await env.create("shop", queues={"q": {}})
        await env.until("shop", has("SecretNotFound"))
        await through(env, proxy)
        await env.until("shop", has("BrokerUnreachable"))
        proxy.heal()
        await env.until("shop")
        for reason in ("SecretNotFound", "BrokerUnreachable"):
            assert await env.cluster.events(env.namespace, reason, "Normal"), operator.log
            assert await env.cluster.events(env.namespace, reason, "Warning") == []
        # it was up, so that it is away is news
        proxy.refuse()
        await env.annotate("shop", look="now")
        await env.until("shop", has("BrokerUnreachable"))
        await eventually(lambda: env.cluster.events(env.namespace, "BrokerUnreachable", "Warning"))


async def test_a_broker_that_does_not_come_is_a_warning_in_the_end(env: OperatorEnv) -> None:
    await env.operator(broker_startup_seconds="3")
    async with FaultProxy(port_of(env)).serving() as proxy:
        await through(env, proxy)
        proxy.refuse()
        await env.create("shop", queues={"q": {}})
        await eventually(lambda: env.cluster.events(env.namespace, "BrokerUnreachable", "Normal"))
        await eventually(lambda: env.cluster.events(env.namespace, "BrokerUnreachable", "Warning"))


async def test_a_mistake_is_a_warning_at_once(env: OperatorEnv) -> None:
    await env.operator()
    await env.create("shop", bindings=[{"source": "nowhere", "queue": "nothing"}])
    await env.until("shop", has("InvalidSpec"))
    await eventually(lambda: env.cluster.events(env.namespace, "InvalidSpec", "Warning"))
