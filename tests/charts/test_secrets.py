"""Each pod mounts only its own Secrets, and roles are minimal."""

import pytest
import yaml

from services.migrate import SCHEMAS
from services.registry import HTTP_PROCESSES, SERVICES
from tests.charts.rendering import CASES, Object, case, containers, identity, of_kind, pods, the

TOKEN_KEY = {"token-key"}
SERVICE = {
    process: {f"{each.name}-rabbitmq", *(f"{schema}-postgres" for schema in [each.name, *each.own_schemas])}
    | (TOKEN_KEY if process in each.http else set())
    for each in SERVICES
    for process in each.processes or [each.name]
}
OTHERS = {
    "migrations": {"postgresql-admin"} | {f"{each}-postgres" for each in SCHEMAS},
    "postgresql": {"postgresql-admin", "postgresql-tls"},
    "rabbitmq": {"rabbitmq-admin", "rabbitmq-tls"},
    "sinks": {"sinks-tls"},
    "smoke": {"token-key"},
    "provision": set(),
    "removal": set(),
    "definition": set(),
    "operator": set(),
}
MONITORING: dict[str, set[str]] = {
    "grafana": {"grafana-admin"},
    "postgres-exporter": {"monitoring-postgres"},
    "prometheus": set(),
    "collector": set(),
    "jaeger": set(),
}


def mounted(spec: Object) -> set[str]:
    """Returns names of the Secrets that a pod uses in any way, except certificates of authorities, which are public."""
    found = set()
    for volume in spec.get("volumes", ()):
        if "secret" in volume:
            found.add(volume["secret"]["secretName"])
        for source in volume.get("projected", {}).get("sources", ()):
            if "secret" in source and [item["key"] for item in source["secret"].get("items", ())] != ["ca.crt"]:
                found.add(source["secret"]["name"])
    for each in containers(spec):
        found |= {source["secretRef"]["name"] for source in each.get("envFrom", ()) if "secretRef" in source}
        for variable in each.get("env", ()):
            if reference := variable.get("valueFrom", {}).get("secretKeyRef"):
                found.add(reference["name"])
    return found


def by_component(name: str) -> dict[str, Object]:
    return {metadata["labels"]["app.kubernetes.io/component"]: spec for _, metadata, spec in pods(case(name))}


@pytest.mark.parametrize("name", ["simple", "cert-manager-issuer"])
def test_each_pod_mounts_only_its_own_secrets(name: str) -> None:
    assert {component: mounted(spec) for component, spec in by_component(name).items()} == SERVICE | OTHERS


def test_only_the_users_of_a_password_of_the_monitoring_servers_mount_it() -> None:
    found = by_component("observability")
    assert {component: mounted(found[component]) for component in MONITORING} == MONITORING
    users = {
        secret: {component for component, spec in found.items() if secret in mounted(spec)}
        for secret in ("grafana-admin", "monitoring-postgres")
    }
    assert users == {"grafana-admin": {"grafana"}, "monitoring-postgres": {"postgres-exporter", "migrations"}}


def test_only_the_channels_mount_provider_credentials() -> None:
    found = {component: mounted(spec) for component, spec in by_component("external").items()}
    assert {component for component, secrets in found.items() if "mail-account" in secrets} == {"email"}
    assert {component for component, secrets in found.items() if "sms-token" in secrets} == {"sms"}
    assert {component for component, secrets in found.items() if "database-owner" in secrets} == {"migrations"}
    assert {component for component, secrets in found.items() if "shop-tokens" in secrets} == {*HTTP_PROCESSES, "smoke"}


@pytest.mark.parametrize("name", CASES)
def test_no_rendering_contains_a_secret(name: str) -> None:
    assert "Secret" not in {body["kind"] for body in case(name)}


@pytest.mark.parametrize("name", CASES)
def test_only_users_of_the_kubernetes_api_have_a_token(name: str) -> None:
    for component, spec in by_component(name).items():
        if component == "operator":
            assert spec["serviceAccountName"] == "warren-topology-operator"
        else:
            asks = component in {"provision", "removal", "definition", "prometheus"}
            assert spec["automountServiceAccountToken"] is asks, component


@pytest.mark.parametrize("name", CASES)
def test_no_role_has_wildcards(name: str) -> None:
    for body in case(name):
        for rule in body.get("rules", ()) if body["kind"].endswith("Role") else ():
            assert not {"*"} & {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}, identity(body)
            assert "secrets" not in rule["resources"] or not {"list", "delete"} & {*rule["verbs"]}, identity(body)


@pytest.mark.parametrize("name", CASES)
def test_services_have_no_rights(name: str) -> None:
    bindings = of_kind(case(name), "RoleBinding", "ClusterRoleBinding")
    bound = {subject["name"] for body in bindings for subject in body["subjects"]}
    expected = {"warren-provision", "warren-removal", "warren-topology-operator", "warren-topology-operator-definition"}
    if name == "one-operator":
        expected = {"warren-provision", "warren-removal"}
    if name == "observability":
        expected.add("warren-prometheus")
        assert the(case(name), "Role", "warren-prometheus")["rules"] == [
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}
        ]
    assert bound == expected


@pytest.mark.parametrize("name", CASES)
def test_the_provision_role_names_exactly_its_secrets(name: str) -> None:
    (manifest,) = (
        yaml.safe_load(body["data"]["secrets.yaml"])
        for body in of_kind(case(name), "ConfigMap")
        if "secrets.yaml" in body["data"]
    )
    role = the(case(name), "Role", "warren-provision")
    authority = {manifest["authority"]} if "authority" in manifest else set()
    named = {
        each for rule in role["rules"] if rule["resources"] == ["secrets"] for each in rule.get("resourceNames", ())
    }
    assert named == {*manifest["certificates"], *manifest["passwords"]} | authority
    certified = {body["metadata"]["name"] for body in of_kind(case(name), "Certificate")}
    assert not certified & manifest["certificates"].keys()
    assert bool(certified) == name.startswith("cert-manager") or name == "production"
