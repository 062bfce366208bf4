"""The operator's chart has the same definition and rights as operator/."""

import pytest
import yaml

from devtools.paths import CHECKOUT
from tests.charts.rendering import NEWEST, OPERATOR_CHART, Object, case, helm, objects, of_kind, pods, the

OPERATOR = CHECKOUT / "operator"


def rendered(*namespaces: str) -> list[Object]:
    """Renders for `namespaces`; without any, for the whole cluster."""
    values = {"namespaces": namespaces} if namespaces else {"clusterWide": True}
    done = helm(NEWEST, "template", "own", OPERATOR_CHART, "--namespace", "ops", values=values)
    assert done.returncode == 0, done.stderr
    return objects(done.stdout)


def rules(bodies: list[Object], *kinds: str) -> dict[str, list[list[Object]]]:
    """Returns the rules of the roles that are bound to the operator, by kind."""
    return {
        kind: [body["rules"] for body in of_kind(bodies, kind) if "definition" not in body["metadata"]["name"]]
        for kind in kinds
    }


def test_the_definition_matches_the_operators() -> None:
    ours = (OPERATOR_CHART / "crds/topologies.yaml").read_text()
    assert ours == (OPERATOR / "crds/topologies.yaml").read_text(), "make crds"


def test_cluster_wide_rights_match_the_operators() -> None:
    expected = list(yaml.safe_load_all((OPERATOR / "rbac/cluster.yaml").read_text()))
    assert rules(rendered(), "ClusterRole", "Role") == rules(expected, "ClusterRole", "Role")


def test_rights_in_namespaces_match_the_operators() -> None:
    expected = rules(list(yaml.safe_load_all((OPERATOR / "rbac/namespaced.yaml").read_text())), "ClusterRole", "Role")
    bodies = rendered("release", "shop")
    found = rules(bodies, "ClusterRole", "Role")
    assert found["ClusterRole"] == expected["ClusterRole"]
    assert found["Role"] == expected["Role"] * 2
    assert {body["metadata"]["namespace"] for body in of_kind(bodies, "Role")} == {"ops", "shop"}


def test_by_default_an_operator_serves_only_its_own_namespace() -> None:
    bodies = case("default")
    (container,) = next(spec for _, metadata, spec in pods(bodies) if is_operator(metadata))["containers"]
    assert {"name": "TOPOLOGY_OPERATOR_NAMESPACES", "value": "shop"} in container["env"]
    (role,) = (body for body in of_kind(bodies, "Role") if is_operator(body["metadata"]))
    assert role["metadata"]["namespace"] == "shop"
    wide = [body for body in of_kind(bodies, "ClusterRole") if is_operator(body["metadata"])]
    assert {resource for body in wide for rule in body["rules"] for resource in rule["resources"]} == {
        "topologies", "topologies/status",
    }  # fmt: skip


def is_operator(metadata: Object) -> bool:
    labels: Object = metadata["labels"]
    return bool(labels["app.kubernetes.io/component"] == "operator")


def test_cluster_wide_is_a_value_and_an_empty_list_is_refused() -> None:
    (container,) = next(spec for _, _, spec in pods(rendered()))["containers"]
    assert {"name": "TOPOLOGY_OPERATOR_NAMESPACES", "value": ""} in container["env"]
    done = helm(NEWEST, "template", "own", OPERATOR_CHART, values={"namespaces": []})
    assert done.returncode != 0
    assert "namespaces" in done.stderr


@pytest.mark.parametrize("namespaces", [(), ("release",)], ids=["cluster", "namespaced"])
def test_every_binding_connects_an_existing_account_and_role(namespaces: tuple[str, ...]) -> None:
    bodies = rendered(*namespaces)
    named = {(body["kind"], body["metadata"]["name"]) for body in bodies}
    bindings = [body for body in bodies if body["kind"].endswith("Binding")]
    assert bindings
    for body in bindings:
        assert (body["roleRef"]["kind"], body["roleRef"]["name"]) in named
        (subject,) = body["subjects"]
        assert (subject["kind"], subject["name"], subject["namespace"]) == ("ServiceAccount", subject["name"], "ops")
        assert ("ServiceAccount", subject["name"]) in named


def test_a_job_with_minimal_rights_updates_the_definition_before_an_upgrade() -> None:
    job = the(case("default"), "Job", "-definition")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-upgrade"
    assert the(case("default"), "ClusterRole", "-definition")["rules"] == [
        {
            "apiGroups": ["apiextensions.k8s.io"],
            "resources": ["customresourcedefinitions"],
            "resourceNames": ["topologies.warren.dev"],
            "verbs": ["get", "patch"],
        }
    ]
