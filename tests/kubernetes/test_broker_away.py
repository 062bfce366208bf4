"""A broker that is away for a moment, and one that is gone for good."""

from collections.abc import Callable

from tests.kubernetes.cluster import CLUSTER, NAMESPACE, SECRET, TOPOLOGY, Object, condition, has, is_ready
from tests.kubernetes.site import Site
from tests.proxy import Proxy


async def through(place: Site, proxy: Proxy) -> None:
    await place.broker_secret("broker", port=proxy.port)


def port_of(place: Site) -> int:
    return int(place.address.management_url.rsplit(":", 1)[1])


async def test_a_broker_that_comes_back_is_found_without_anybodys_help(place: Site) -> None:
    operator = await place.operator()
    async with Proxy(port_of(place)).serving() as proxy:
        await through(place, proxy)
        proxy.refusing = True
        await place.create("shop", queues={"q": {}})
        away = await place.until("shop", has("BrokerUnreachable"))
        assert condition(away)["status"] == "Unknown"
        assert "nothing answers at" in condition(away)["message"]
        broker = f'topology_broker_reachable{{broker="https://{place.address.host}:{proxy.port}"}}'
        assert await operator.metric(broker) == 0
        proxy.heal()
        await place.until("shop")
        assert await operator.metric(broker) == 1


async def test_what_nobody_can_compare_is_unknown_with_the_time_of_the_last_comparison(place: Site) -> None:
    operator = await place.operator()
    objects = f'topology_objects{{namespace="{place.namespace}",state="Ready",topology="shop"}}'

    def unknown(reason: str) -> Callable[[Object], bool]:
        return lambda body: has(reason)(body) and condition(body, "Drifted")["status"] == "Unknown"

    async with Proxy(port_of(place)).serving() as proxy:
        await through(place, proxy)
        await place.create("shop", queues={"q": {}})
        ready = await place.until("shop")
        assert (await operator.metric(objects) or 0) > 0
        proxy.refusing = True
        proxy.cut()
        await place.annotate("shop", look="now")
        away = await place.until("shop", unknown("BrokerUnreachable"))
        assert condition(away)["status"] == "Unknown"
        assert away["status"]["summary"] == {"text": "Unknown"}
        assert "objects" not in away["status"]
        assert away["status"]["lastComparedTime"] >= ready["status"]["lastComparedTime"]
        assert away["status"]["lastComparedTime"] in condition(away, "Drifted")["message"]
        assert await operator.metric(objects) is None
        proxy.heal()
        await place.until("shop")
    await place.broker_secret("broker", password="wrong")
    refused = await place.until("shop", unknown("AccessRefused"))
    assert condition(refused)["status"] == "Unknown"
    assert refused["status"]["summary"] == {"text": "Unknown"}
    await place.broker_secret("broker")
    back = await place.until("shop")
    assert back["status"]["summary"]["held"] == len(back["status"]["objects"])


async def test_a_deletion_waits_for_a_broker_that_is_away_and_then_cleans_up(place: Site) -> None:
    await place.operator()
    async with Proxy(port_of(place)).serving() as proxy:
        await through(place, proxy)
        await place.create("shop", queues={"q": {}})
        await place.until("shop")
        proxy.refusing = True
        proxy.cut()
        await place.delete("shop")
        waiting = await place.until("shop", has("Releasing"))
        assert "waiting up to" in condition(waiting)["message"]
        proxy.heal()
        await place.until_gone("shop")
    assert await place.at_broker("queues") == {}


async def test_a_broker_gone_for_good_holds_up_neither_the_resource_nor_its_namespace(place: Site) -> None:
    await place.operator(release_seconds="3")
    async with Proxy(port_of(place)).serving() as proxy:
        await through(place, proxy)
        await place.create("shop", queues={"q": {}})
        await place.until("shop")
        proxy.refusing = True
        proxy.cut()
        await place.delete("shop")
        await place.until_gone("shop")
    (told,) = await place.cluster.events(place.namespace, "LeftBehind")
    assert "nothing was cleaned up within 3 s" in told
    assert set(await place.at_broker("queues")) == {"q"}


async def test_without_the_secret_the_last_known_way_to_the_broker_serves_the_clean_up(place: Site) -> None:
    await place.operator()
    await place.create("shop", queues={"q": {}})
    await place.until("shop")
    await place.cluster.delete(SECRET, place.namespace, "broker")
    await place.until("shop", has("SecretMissing"))
    await place.delete("shop")
    await place.until_gone("shop")
    assert await place.at_broker("queues") == {}


async def test_a_resource_whose_broker_never_was_goes_at_once(place: Site) -> None:
    await place.operator(release_seconds="3600")
    await place.create("shop", broker={"clusterRef": {"name": "nowhere"}})
    await place.until("shop", has("ClusterMissing"))
    await place.delete("shop")
    await place.until_gone("shop")
    assert await place.cluster.events(place.namespace, "LeftBehind")


async def test_a_whole_namespace_goes_and_its_objects_with_it(place: Site) -> None:
    home = await place.new_namespace(f"{place.namespace}-more")
    await place.grant(home, account_namespace=place.namespace)
    await place.broker_secret("broker", namespace=home)
    await place.operator(namespaces=home)
    await place.create("shop", namespace=home, queues={"q": {}})
    await place.until_broker("queues", lambda queues: "q" in queues)
    await place.cluster.until(TOPOLOGY, home, "shop", is_ready)
    await place.cluster.delete(NAMESPACE, "", home)
    await place.cluster.until_gone(NAMESPACE, "", home)
    assert await place.at_broker("queues") == {}


async def test_a_cluster_of_the_cluster_operator_is_found_by_its_name(place: Site) -> None:
    await place.operator()
    cluster, address = place.cluster, place.address
    await place.create("shop", broker={"clusterRef": {"name": "rabbit"}}, queues={"q": {}})
    await place.until("shop", has("ClusterMissing"))
    await cluster.secret(place.namespace, "rabbit-tls", tls_crt="x", ca_crt=address.ca_file.read_text())
    await cluster.secret(
        place.namespace, "rabbit-default-user", username=address.admin_username, password=address.admin_password
    )
    await cluster.create(
        CLUSTER,
        place.namespace,
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
    not_yet = await place.until("shop", has("ClusterNotReady"))
    assert "no default user yet" in condition(not_yet)["message"]
    keys = {"username": "username", "password": "password"}
    reference = {"name": "rabbit-default-user", "namespace": place.namespace, "keys": keys}
    status = {"conditions": [], "defaultUser": {"secretReference": reference}}
    await cluster.patch(CLUSTER, place.namespace, "rabbit", {"status": status}, "status")
    await place.until("shop")
    await cluster.delete(CLUSTER, place.namespace, "rabbit")
    await place.until("shop", has("ClusterMissing"))
    await place.delete("shop")
    await place.until_gone("shop", seconds=20)


async def test_another_namespace_is_let_in_only_where_the_target_says_so(place: Site) -> None:
    home = await place.new_namespace(f"{place.namespace}-infra")
    await place.grant(home, account_namespace=place.namespace)
    await place.broker_secret("shared", namespace=home)
    await place.operator(retry_seconds="3600", retry_max_seconds="3600")
    await place.create("shop", broker={"secretRef": {"name": "shared", "namespace": home}}, queues={"q": {}})
    refused = await place.until("shop", has("NamespaceNotAllowed"))
    assert f"warren.dev/allowed-namespaces: {place.namespace}" in condition(refused)["message"]
    annotations = {"warren.dev/allowed-namespaces": f"others, {place.namespace}"}
    await place.cluster.patch(SECRET, home, "shared", {"metadata": {"annotations": annotations}})
    await place.until("shop")
