"""The roles name what the operator uses, and nothing else."""

import pytest
import yaml

from tests.kubernetes.api_client import TOPOLOGY, Object, eventually, is_ready
from tests.kubernetes.emulator.server import ApiServerEmulator
from tests.kubernetes.environment import NAMES, REAL_API_SERVER, OperatorEnv
from tests.kubernetes.operator_process import ROOT

Right = tuple[str, str, str]
"""Group, resource and verb."""


def granted(file: str) -> set[Right]:
    documents = yaml.safe_load_all((ROOT / "operator/rbac" / file).read_text())
    return {
        (group, resource, verb)
        for body in documents
        for rule in body.get("rules", ())
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_both_variants_grant_the_same() -> None:
    assert granted("cluster.yaml") == granted("namespaced.yaml")
    assert not any("*" in right for right in granted("cluster.yaml"))


@pytest.mark.emulated
async def test_every_right_is_used_and_no_other_is_asked_for(env: OperatorEnv, emulator: ApiServerEmulator) -> None:
    await env.operator()
    await env.create("shop", queues={"a": {}}, users={env.user("u"): {"secretName": "u"}})
    await env.create("by-name", broker={"clusterRef": {"name": "rabbit"}})
    await env.until("shop")
    # a Secret that somebody else made without a password is completed
    await env.cluster.secret(env.namespace, "half", username=env.user("half"))
    await env.change("shop", users={env.user("half"): {"secretName": "half"}})
    await env.until("shop")

    async def watches_the_cluster() -> bool:
        return ("rabbitmq.com", "rabbitmqclusters", "watch") in used(emulator)

    await eventually(watches_the_cluster)
    for name in ("shop", "by-name"):
        await env.delete(name)
        await env.until_gone(name)
    assert used(emulator) == granted("namespaced.yaml")


def used(emulator: ApiServerEmulator) -> set[Right]:
    return {
        (each.group, each.resource, each.verb)
        for each in emulator.access.log
        if each.user.endswith(":topology-operator")
    }


async def test_with_the_role_for_the_whole_cluster_it_serves_every_namespace(env: OperatorEnv) -> None:
    """On a real server it is told two namespaces all the same: the others are somebody else's."""
    home = await env.new_namespace(f"{env.namespace}-more")
    role = f"topology-operator-{env.namespace}"
    try:
        for body in yaml.safe_load_all((ROOT / "operator/rbac/cluster.yaml").read_text()):
            if body["kind"] != "ServiceAccount":
                await env.cluster.create(NAMES[body["kind"]], "", renamed(body, role, env.namespace))
        await env.broker_secret("broker", namespace=home)
        await env.operator(namespaces=f"{env.namespace},{home}" if REAL_API_SERVER else "")
        await env.create("here", queues={"a": {}})
        await env.create("there", namespace=home, queues={"b": {}})
        await env.until("here")
        await env.cluster.until(TOPOLOGY, home, "there", is_ready)
    finally:
        for kind in ("ClusterRoleBinding", "ClusterRole"):
            await env.cluster.delete(NAMES[kind], "", role)


def renamed(body: Object, role: str, namespace: str) -> Object:
    body["metadata"]["name"] = role
    if "roleRef" in body:
        body["roleRef"]["name"] = role
        body["subjects"][0]["namespace"] = namespace
    return body
