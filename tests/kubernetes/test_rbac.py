"""The roles grant the rights that the operator uses, and no others."""

import pytest
import yaml

from tests.kubernetes.api_client import TOPOLOGY, eventually, is_ready
from tests.kubernetes.emulator.server import ApiServerEmulator
from tests.kubernetes.environment import NAMES, REAL_API_SERVER, OperatorEnv
from tests.kubernetes.operator_process import ROOT
from topology_operator.kubernetes.objects import Object

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


def used(emulator: ApiServerEmulator) -> set[Right]:
    requests = [each for each in emulator.authorizer.requests if each.user.endswith(":topology-operator")]
    return {(each.group, each.resource, each.verb) for each in requests}


def test_both_variants_grant_the_same_rights() -> None:
    assert granted("cluster.yaml") == granted("namespaced.yaml")
    assert not any("*" in right for right in granted("cluster.yaml"))


@pytest.mark.emulated
@pytest.mark.usefixtures("operator")
async def test_the_operator_uses_exactly_the_granted_rights(env: OperatorEnv, emulator: ApiServerEmulator) -> None:
    await env.create("shop", queues={"a": {}}, users={env.user("u"): {"secretName": "u"}})
    await env.create("by-name", broker={"clusterRef": {"name": "rabbit"}})
    await env.wait_until_ready("shop")
    # a Secret that exists without a password gets one
    await env.put_secret("half", username=env.user("half"))
    await env.change_ready("shop", users={env.user("half"): {"secretName": "half"}})

    async def watches_the_cluster() -> bool:
        return ("rabbitmq.com", "rabbitmqclusters", "watch") in used(emulator)

    await eventually(watches_the_cluster)
    for name in ("shop", "by-name"):
        await env.delete(name)
    assert used(emulator) == granted("namespaced.yaml")


async def test_with_the_role_for_the_whole_cluster_it_serves_every_namespace(env: OperatorEnv) -> None:
    """On a real API server it serves two namespaces only, because the others are not of this test."""
    home = await env.new_namespace(f"{env.namespace}-more")
    await env.put_broker_secret(namespace=home)
    role = f"topology-operator-{env.namespace}"
    try:
        for body in yaml.safe_load_all((ROOT / "operator/rbac/cluster.yaml").read_text()):
            if body["kind"] != "ServiceAccount":
                await env.api.create_object(NAMES[body["kind"]], "", renamed(body, role, env.namespace))
        await env.start_operator(namespaces=f"{env.namespace},{home}" if REAL_API_SERVER else "")
        await env.create("here", queues={"a": {}})
        await env.create("there", namespace=home, queues={"b": {}})
        await env.wait_until_ready("here")
        await env.api.wait_until(TOPOLOGY, home, "there", is_ready)
    finally:
        for kind in ("ClusterRoleBinding", "ClusterRole"):
            await env.api.delete_object(NAMES[kind], "", role)


def renamed(body: Object, role: str, namespace: str) -> Object:
    body["metadata"]["name"] = role
    if "roleRef" in body:
        body["roleRef"]["name"] = role
        body["subjects"][0]["namespace"] = namespace
    return body
