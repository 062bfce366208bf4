"""The roles name what the operator uses, and nothing else."""

import pytest
import yaml

from tests.kubernetes.cluster import TOPOLOGY, Object, eventually, is_ready
from tests.kubernetes.emulator.server import Emulator
from tests.kubernetes.operating import ROOT
from tests.kubernetes.site import NAMES, REAL, Site

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
async def test_every_right_is_used_and_no_other_is_asked_for(place: Site, emulator: Emulator) -> None:
    await place.operator()
    await place.create("shop", queues={"a": {}}, users={place.user("u"): {"secretName": "u"}})
    await place.create("by-name", broker={"clusterRef": {"name": "rabbit"}})
    await place.until("shop")
    # a Secret that somebody else made without a password is completed
    await place.cluster.secret(place.namespace, "half", username=place.user("half"))
    await place.change("shop", users={place.user("half"): {"secretName": "half"}})
    await place.until("shop")

    async def watches_the_cluster() -> bool:
        return ("rabbitmq.com", "rabbitmqclusters", "watch") in used(emulator)

    await eventually(watches_the_cluster)
    for name in ("shop", "by-name"):
        await place.delete(name)
        await place.until_gone(name)
    assert used(emulator) == granted("namespaced.yaml")


def used(emulator: Emulator) -> set[Right]:
    return {
        (each.group, each.resource, each.verb)
        for each in emulator.access.log
        if each.user.endswith(":topology-operator")
    }


async def test_with_the_role_for_the_whole_cluster_it_serves_every_namespace(place: Site) -> None:
    """On a real server it is told two namespaces all the same: the others are somebody else's."""
    home = await place.new_namespace(f"{place.namespace}-more")
    role = f"topology-operator-{place.namespace}"
    try:
        for body in yaml.safe_load_all((ROOT / "operator/rbac/cluster.yaml").read_text()):
            if body["kind"] != "ServiceAccount":
                await place.cluster.create(NAMES[body["kind"]], "", renamed(body, role, place.namespace))
        await place.broker_secret("broker", namespace=home)
        await place.operator(namespaces=f"{place.namespace},{home}" if REAL else "")
        await place.create("here", queues={"a": {}})
        await place.create("there", namespace=home, queues={"b": {}})
        await place.until("here")
        await place.cluster.until(TOPOLOGY, home, "there", is_ready)
    finally:
        for kind in ("ClusterRoleBinding", "ClusterRole"):
            await place.cluster.delete(NAMES[kind], "", role)


def renamed(body: Object, role: str, namespace: str) -> Object:
    body["metadata"]["name"] = role
    if "roleRef" in body:
        body["roleRef"]["name"] = role
        body["subjects"][0]["namespace"] = namespace
    return body
