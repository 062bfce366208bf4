"""A broker that is unavailable for a while, one that is gone for good, and one that may not be used."""

from collections.abc import Callable

import pytest

from tests.kubernetes.api_client import CLUSTER, NAMESPACE, SECRET, TOPOLOGY, condition, has_reason, is_ready
from tests.kubernetes.environment import OperatorEnv
from tests.kubernetes.operator_process import OperatorProcess
from topology_operator.kubernetes.objects import Object


async def test_a_broker_that_returns_is_used_again(env: OperatorEnv, operator: OperatorProcess) -> None:
    async with env.proxied_broker(refusing=True) as proxy:
        await env.create("shop", queues={"q": {}})
        unavailable = await env.wait_until("shop", has_reason("BrokerUnreachable"))
        assert condition(unavailable)["status"] == "Unknown"
        assert "nothing answers at" in condition(unavailable)["message"]
        reachable = f'topology_broker_reachable{{broker="https://{env.broker.host}:{proxy.port}"}}'
        assert await operator.metric(reachable) == 0
        proxy.heal()
        await env.wait_until_ready("shop")
        assert await operator.metric(reachable) == 1


async def test_without_a_comparison_the_status_is_unknown_and_dates_the_last_one(
    env: OperatorEnv, operator: OperatorProcess
) -> None:
    objects = f'topology_objects{{namespace="{env.namespace}",state="Ready",topology="shop"}}'

    def unknown(reason: str) -> Callable[[Object], bool]:
        return lambda body: has_reason(reason)(body) and condition(body, "Drifted")["status"] == "Unknown"

    async with env.proxied_broker() as proxy:
        ready = await env.create_ready("shop", queues={"q": {}})
        assert (await operator.metric(objects) or 0) > 0
        proxy.refuse()
        await env.annotate("shop", reconcile="now")
        unavailable = await env.wait_until("shop", unknown("BrokerUnreachable"))
        assert condition(unavailable)["status"] == "Unknown"
        assert unavailable["status"]["summary"] == {"text": "Unknown"}
        assert "objects" not in unavailable["status"]
        assert unavailable["status"]["lastComparedTime"] >= ready["status"]["lastComparedTime"]
        assert unavailable["status"]["lastComparedTime"] in condition(unavailable, "Drifted")["message"]
        assert await operator.metric(objects) is None
        proxy.heal()
        await env.wait_until_ready("shop")
    await env.put_broker_secret(password="wrong")
    refused = await env.wait_until("shop", unknown("AccessDenied"))
    assert condition(refused)["status"] == "Unknown"
    assert refused["status"]["summary"] == {"text": "Unknown"}
    await env.put_broker_secret()
    back = await env.wait_until_ready("shop")
    assert back["status"]["summary"]["synced"] == len(back["status"]["objects"])


@pytest.mark.usefixtures("operator")
async def test_a_deletion_waits_for_an_unavailable_broker_and_then_cleans_up(env: OperatorEnv) -> None:
    async with env.proxied_broker() as proxy:
        await env.create_ready("shop", queues={"q": {}})
        proxy.refuse()
        await env.api.delete_object(TOPOLOGY, env.namespace, "shop")
        waiting = await env.wait_until("shop", has_reason("Deleting"))
        assert "waiting up to" in condition(waiting)["message"]
        proxy.heal()
        await env.api.wait_until_gone(TOPOLOGY, env.namespace, "shop")
    assert await env.at_broker("queues") == {}


async def test_a_broker_gone_for_good_delays_a_deletion_for_a_limited_time(env: OperatorEnv) -> None:
    await env.start_operator(cleanup_timeout_seconds="3")
    async with env.proxied_broker() as proxy:
        await env.create_ready("shop", queues={"q": {}})
        proxy.refuse()
        await env.delete("shop")
    (message,) = await env.events("ObjectsOrphaned")
    assert "no clean-up within 3 s" in message
    assert set(await env.at_broker("queues")) == {"q"}


@pytest.mark.usefixtures("operator")
async def test_without_the_broker_secret_the_clean_up_uses_the_last_connection(env: OperatorEnv) -> None:
    await env.create_ready("shop", queues={"q": {}})
    await env.delete_secret("broker")
    await env.wait_until("shop", has_reason("SecretNotFound"))
    await env.delete("shop")
    assert await env.at_broker("queues") == {}


async def test_a_topology_without_a_broker_is_deleted_at_once(env: OperatorEnv) -> None:
    await env.start_operator(cleanup_timeout_seconds="3600")
    await env.create("shop", broker={"clusterRef": {"name": "nowhere"}})
    await env.wait_until("shop", has_reason("ClusterNotFound"))
    await env.delete("shop")
    assert await env.events("ObjectsOrphaned")


async def test_a_deleted_namespace_takes_the_objects_at_the_broker_with_it(env: OperatorEnv) -> None:
    home = await env.new_namespace(f"{env.namespace}-more", granted=True)
    await env.start_operator(namespaces=home)
    await env.create("shop", namespace=home, queues={"q": {}})
    await env.wait_until_broker("queues", lambda queues: "q" in queues)
    await env.api.wait_until(TOPOLOGY, home, "shop", is_ready)
    await env.api.delete_object(NAMESPACE, "", home)
    await env.api.wait_until_gone(NAMESPACE, "", home)
    assert await env.at_broker("queues") == {}


@pytest.mark.usefixtures("operator")
async def test_a_cluster_of_the_cluster_operator_is_found_by_name(env: OperatorEnv) -> None:
    broker, user_secret = env.broker, "rabbit-default-user"
    await env.create("shop", broker={"clusterRef": {"name": "rabbit"}}, queues={"q": {}})
    await env.wait_until("shop", has_reason("ClusterNotFound"))
    await env.put_secret("rabbit-tls", tls_crt="x", ca_crt=broker.ca_file.read_text())
    await env.put_secret(user_secret, username=broker.admin_username, password=broker.admin_password)
    metadata = {
        "name": "rabbit",
        "labels": {"rabbitmq.com/pauseReconciliation": "true"},  # a real cluster operator must not create a broker
        "annotations": {"rabbitmq.com/operator-connection-uri": broker.management_url},
    }
    cluster = {"apiVersion": "rabbitmq.com/v1beta1", "kind": "RabbitmqCluster", "metadata": metadata}
    await env.api.create_object(CLUSTER, env.namespace, cluster | {"spec": {"tls": {"secretName": "rabbit-tls"}}})
    not_yet = await env.wait_until("shop", has_reason("ClusterNotReady"))
    assert "no default user yet" in condition(not_yet)["message"]
    keys = {"username": "username", "password": "password"}
    reference = {"name": user_secret, "namespace": env.namespace, "keys": keys}
    status = {"conditions": [], "defaultUser": {"secretReference": reference}}
    await env.api.patch_object(CLUSTER, env.namespace, "rabbit", {"status": status}, "status")
    await env.wait_until_ready("shop")
    await env.api.delete_object(CLUSTER, env.namespace, "rabbit")
    await env.wait_until("shop", has_reason("ClusterNotFound"))
    await env.delete("shop", seconds=20)


async def test_a_reference_into_another_namespace_needs_the_annotation_of_its_target(env: OperatorEnv) -> None:
    home = await env.new_namespace(f"{env.namespace}-infra", granted=True)
    await env.start_operator(retry_seconds="3600", retry_max_seconds="3600")
    await env.create("shop", broker={"secretRef": {"name": "broker", "namespace": home}}, queues={"q": {}})
    refused = await env.wait_until("shop", has_reason("NamespaceNotAllowed"))
    assert f"warren.dev/allowed-namespaces: {env.namespace}" in condition(refused)["message"]
    annotations = {"warren.dev/allowed-namespaces": f"others, {env.namespace}"}
    await env.api.patch_object(SECRET, home, "broker", {"metadata": {"annotations": annotations}})
    await env.wait_until_ready("shop")
