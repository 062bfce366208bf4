"""A broker that is away for a moment, and one that is gone for good."""

from collections.abc import Callable

from faults.proxy import FaultProxy
from tests.kubernetes.api_client import CLUSTER, NAMESPACE, SECRET, TOPOLOGY, Object, condition, has, is_ready
from tests.kubernetes.environment import OperatorEnv


async def through(env: OperatorEnv, proxy: FaultProxy) -> None:
    await env.broker_secret("broker", port=proxy.port)


def port_of(env: OperatorEnv) -> int:
    return int(env.address.management_url.rsplit(":", 1)[1])


async def test_a_broker_that_comes_back_is_found_without_anybodys_help(env: OperatorEnv) -> None:
    operator = await env.operator()
    async with FaultProxy(port_of(env)).serving() as proxy:
        await through(env, proxy)
        proxy.refuse()
        await env.create("shop", queues={"q": {}})
        away = await env.until("shop", has("BrokerUnreachable"))
        assert condition(away)["status"] == "Unknown"
        assert "nothing answers at" in condition(away)["message"]
        broker = f'topology_broker_reachable{{broker="https://{env.address.host}:{proxy.port}"}}'
        assert await operator.metric(broker) == 0
        proxy.heal()
        await env.until("shop")
        assert await operator.metric(broker) == 1


async def test_what_nobody_can_compare_is_unknown_with_the_time_of_the_last_comparison(env: OperatorEnv) -> None:
    operator = await env.operator()
    objects = f'topology_objects{{namespace="{env.namespace}",state="Ready",topology="shop"}}'

    def unknown(reason: str) -> Callable[[Object], bool]:
        return lambda body: has(reason)(body) and condition(body, "Drifted")["status"] == "Unknown"

    async with FaultProxy(port_of(env)).serving() as proxy:
        await through(env, proxy)
        await env.create("shop", queues={"q": {}})
        ready = await env.until("shop")
        assert (await operator.metric(objects) or 0) > 0
        proxy.refuse()
        await env.annotate("shop", look="now")
        away = await env.until("shop", unknown("BrokerUnreachable"))
        assert condition(away)["status"] == "Unknown"
        assert away["status"]["summary"] == {"text": "Unknown"}
        assert "objects" not in away["status"]
        assert away["status"]["lastComparedTime"] >= ready["status"]["lastComparedTime"]
        assert away["status"]["lastComparedTime"] in condition(away, "Drifted")["message"]
        assert await operator.metric(objects) is None
        proxy.heal()
        await env.until("shop")
    await env.broker_secret("broker", password="wrong")
    refused = await env.until("shop", unknown("AccessDenied"))
    assert condition(refused)["status"] == "Unknown"
    assert refused["status"]["summary"] == {"text": "Unknown"}
    await env.broker_secret("broker")
    back = await env.until("shop")
    assert back["status"]["summary"]["synced"] == len(back["status"]["objects"])


async def test_a_deletion_waits_for_a_broker_that_is_away_and_then_cleans_up(env: OperatorEnv) -> None:
    await env.operator()
    async with FaultProxy(port_of(env)).serving() as proxy:
        await through(env, proxy)
        await env.create("shop", queues={"q": {}})
        await env.until("shop")
        proxy.refuse()
        await env.delete("shop")
        waiting = await env.until("shop", has("Deleting"))
        assert "waiting up to" in condition(waiting)["message"]
        proxy.heal()
        await env.until_gone("shop")
    assert await env.at_broker("queues") == {}


async def test_a_broker_gone_for_good_holds_up_neither_the_resource_nor_its_namespace(env: OperatorEnv) -> None:
    await env.operator(cleanup_timeout_seconds="3")
    async with FaultProxy(port_of(env)).serving() as proxy:
        await through(env, proxy)
        await env.create("shop", queues={"q": {}})
        await env.until("shop")
        proxy.refuse()
        await env.delete("shop")
        await env.until_gone("shop")
    (told,) = await env.cluster.events(env.namespace, "ObjectsOrphaned")
    assert "no clean-up within 3 s" in told
    assert set(await env.at_broker("queues")) == {"q"}


async def test_without_the_secret_the_last_known_way_to_the_broker_serves_the_clean_up(env: OperatorEnv) -> None:
    await env.operator()
    await env.create("shop", queues={"q": {}})
    await env.until("shop")
    await env.cluster.delete(SECRET, env.namespace, "broker")
    await env.until("shop", has("SecretNotFound"))
    await env.delete("shop")
    await env.until_gone("shop")
    assert await env.at_broker("queues") == {}


async def test_a_resource_whose_broker_never_was_goes_at_once(env: OperatorEnv) -> None:
    await env.operator(cleanup_timeout_seconds="3600")
    await env.create("shop", broker={"clusterRef": {"name": "nowhere"}})
    await env.until("shop", has("ClusterNotFound"))
    await env.delete("shop")
    await env.until_gone("shop")
    assert await env.cluster.events(env.namespace, "ObjectsOrphaned")


async def test_a_whole_namespace_goes_and_its_objects_with_it(env: OperatorEnv) -> None:
    home = await env.new_namespace(f"{env.namespace}-more")
    await env.grant(home, account_namespace=env.namespace)
    await env.broker_secret("broker", namespace=home)
    await env.operator(namespaces=home)
    await env.create("shop", namespace=home, queues={"q": {}})
    await env.until_broker("queues", lambda queues: "q" in queues)
    await env.cluster.until(TOPOLOGY, home, "shop", is_ready)
    await env.cluster.delete(NAMESPACE, "", home)
    await env.cluster.until_gone(NAMESPACE, "", home)
    assert await env.at_broker("queues") == {}


async def test_a_cluster_of_the_cluster_operator_is_found_by_its_name(env: OperatorEnv) -> None:
    await env.operator()
    cluster, address = env.cluster, env.address
    await env.create("shop", broker={"clusterRef": {"name": "rabbit"}}, queues={"q": {}})
    await env.until("shop", has("ClusterNotFound"))
    await cluster.secret(env.namespace, "rabbit-tls", tls_crt="x", ca_crt=address.ca_file.read_text())
    await cluster.secret(
        env.namespace, "rabbit-default-user", username=address.admin_username, password=address.admin_password
    )
    await cluster.create(
        CLUSTER,
        env.namespace,
        {
            "apiVersion": "rabbitmq.com/v1beta1",
            "kind": "RabbitmqCluster",
            "metadata": {
                "name": "rabbit",
                "labels": {"rabbitmq.com/pauseReconciliation": "true"},  # no real operator is to make one
                "annotations": {"rabbitmq.com/operator-connection-uri": address.management_url},
            },
            "spec": {"tls": {"secretName": "rabbit-tls"}},
        },
    )
    not_yet = await env.until("shop", has("ClusterNotReady"))
    assert "no default user yet" in condition(not_yet)["message"]
    keys = {"username": "username", "password": "password"}
    reference = {"name": "rabbit-default-user", "namespace": env.namespace, "keys": keys}
    status = {"conditions": [], "defaultUser": {"secretReference": reference}}
    await cluster.patch(CLUSTER, env.namespace, "rabbit", {"status": status}, "status")
    await env.until("shop")
    await cluster.delete(CLUSTER, env.namespace, "rabbit")
    await env.until("shop", has("ClusterNotFound"))
    await env.delete("shop")
    await env.until_gone("shop", seconds=20)


async def test_another_namespace_is_let_in_only_where_the_target_says_so(env: OperatorEnv) -> None:
    home = await env.new_namespace(f"{env.namespace}-infra")
    await env.grant(home, account_namespace=env.namespace)
    await env.broker_secret("shared", namespace=home)
    await env.operator(retry_seconds="3600", retry_max_seconds="3600")
    await env.create("shop", broker={"secretRef": {"name": "shared", "namespace": home}}, queues={"q": {}})
    refused = await env.until("shop", has("NamespaceNotAllowed"))
    assert f"warren.dev/allowed-namespaces: {env.namespace}" in condition(refused)["message"]
    annotations = {"warren.dev/allowed-namespaces": f"others, {env.namespace}"}
    await env.cluster.patch(SECRET, home, "shared", {"metadata": {"annotations": annotations}})
    await env.until("shop")
