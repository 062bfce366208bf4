"""Settings of pods, images and names apply in every object."""

import pytest

from services.registry import PROCESSES, SERVICE_NAMES
from tests.charts.rendering import NEWEST, OPERATOR_CHART, Object, containers, helm, objects, of_kind, pods, render

POD: Object = {
    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "a", "operator": "Exists"}]}]}}},
    "hostAliases": [{"ip": "::1", "hostnames": ["a.example"]}],
    "nodeSelector": {"disk": "true"},
    "priorityClassName": "high",
    "tolerations": [{"operator": "Exists"}],
}  # fmt: skip
METADATA: Object = {"podLabels": {"team": "123"}, "podAnnotations": {"a/b": "true"}}
SERVERS = {"rabbitmq": {"mode": "simple"}}


def merged(*values: Object) -> Object:
    found: Object = {}
    for each in values:
        for key, value in each.items():
            found[key] = merged(found.get(key, {}), value) if isinstance(value, dict) else value
    return found


def chosen(spec: Object) -> Object:
    return {key: spec[key] for key in POD if key in spec}


def test_defaults_apply_to_every_pod_unless_overridden() -> None:
    own = {"nodeSelector": {"disk": "fast"}, "tolerations": [], "priorityClassName": "first"}
    values = {
        "default": POD | METADATA,
        "components": {"payment": own},
        "postgresql": {"nodeSelector": {"disk": "fast"}, "podLabels": {"team": "db"}},
        "topology-operator": POD | METADATA,
    }
    found = {name: (metadata, spec) for name, metadata, spec in pods(render(merged(SERVERS, values)))}
    metadata, spec = found.pop("Deployment/warren-payment")
    assert chosen(spec) == {key: value for key, value in (POD | own).items() if value}
    metadata, spec = found.pop("StatefulSet/warren-postgresql")
    assert chosen(spec) == POD | {"nodeSelector": {"disk": "fast"}}
    assert metadata["labels"]["team"] == "db"
    assert chosen(found.pop("Pod/warren-smoke")[1]) == POD  # its labels are the object's own
    assert len(found) > 12
    for name, (metadata, spec) in found.items():
        assert chosen(spec) == POD, name
        assert metadata["labels"]["team"] == "123", name
        assert metadata["annotations"]["a/b"] == "true", name
        assert metadata["labels"]["app.kubernetes.io/name"] in {"warren", "topology-operator"}, name


def test_custom_labels_do_not_change_selectors() -> None:
    labels = {"app.kubernetes.io/name": "x", "app.kubernetes.io/component": "x", "app.kubernetes.io/instance": "x"}
    for body in render(merged(SERVERS, {"default": {"podLabels": labels}, "topology-operator": {"podLabels": labels}})):
        if body["kind"] in {"Deployment", "StatefulSet"}:
            selector = body["spec"]["selector"]["matchLabels"]
            assert selector.items() <= body["spec"]["template"]["metadata"]["labels"].items()
        if body["kind"] == "NetworkPolicy":
            assert "x" not in body["spec"]["podSelector"]["matchLabels"].values()


def cluster(**rabbitmq: object) -> Object:
    return next(iter(of_kind(render({"rabbitmq": rabbitmq}), "RabbitmqCluster")))


def test_pod_settings_apply_to_clustered_brokers() -> None:
    spec = cluster(**POD, **METADATA)["spec"]
    template = spec["override"]["statefulSet"]["spec"]["template"]
    assert {key: spec[key] for key in ("affinity", "tolerations")} | chosen(template["spec"]) == POD
    assert template["metadata"] == {"labels": {"team": "123"}, "annotations": {"a/b": "true"}}
    constraint = {"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    template = cluster(topologySpreadConstraints=[constraint])["spec"]["override"]["statefulSet"]["spec"]["template"]
    (found,) = template["spec"]["topologySpreadConstraints"]
    assert found.items() > constraint.items()
    assert found["labelSelector"]["matchLabels"]["app.kubernetes.io/name"] == "warren-rabbitmq"


def test_a_component_may_have_additional_environment_volumes_and_constraints() -> None:
    reference = {"secretKeyRef": {"name": "s", "key": "k"}}
    own = {
        "env": [{"name": "WARREN_LOG_LEVEL", "value": "debug"}, {"name": "TOKEN", "valueFrom": reference}],
        "environment": {"WARREN_LOG_LEVEL": "info", "N": 1000000},
        "envFrom": [{"secretRef": {"name": "more"}}],
        "extraVolumes": [{"name": "cache", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "cache", "mountPath": "/cache"}],
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
    }
    (spec,) = (
        spec for name, _, spec in pods(render({"components": {"audit": own}})) if name == "Deployment/warren-audit"
    )
    for each in containers(spec):
        assert [variable for variable in each["env"] if variable["name"] == "WARREN_LOG_LEVEL"] == [own["env"][0]]
        assert own["env"][1] in each["env"]
        assert {"name": "N", "value": "1000000"} in each["env"]
        assert each["envFrom"] == own["envFrom"]
        assert own["extraVolumeMounts"][0] in each["volumeMounts"]
    assert own["extraVolumes"][0] in spec["volumes"]
    (constraint,) = spec["topologySpreadConstraints"]
    assert constraint["topologyKey"] == "zone"
    assert constraint["labelSelector"]["matchLabels"]["app.kubernetes.io/component"] == "audit"


def images(values: Object) -> set[str]:
    bodies = render(values)
    found = {each["image"] for _, _, spec in pods(bodies) for each in containers(spec)}
    return found | {body["spec"]["image"] for body in of_kind(bodies, "RabbitmqCluster")}


@pytest.mark.parametrize("prefix", ["warren", "registry.example:5000/warren", "localhost/warren"])
def test_one_registry_applies_to_every_image(prefix: str) -> None:
    values = {
        "global": {"imageRegistry": "mirror.example", "imagePullSecrets": ["mirror"]},
        "image": {"prefix": prefix, "tag": "1", "pullSecrets": ["own"]},
        "topology-operator": {"image": {"prefix": prefix, "tag": "1"}},
    }
    ours = {f"mirror.example/warren/{name}:1" for name in (*SERVICE_NAMES, "tools", "operator")}
    assert images(values) == ours | {"mirror.example/rabbitmq:4.3-management", "mirror.example/postgres:18"}
    for name, _, spec in pods(render(values)):
        expected = [{"name": "mirror"}] if "topology-operator" in name else [{"name": "mirror"}, {"name": "own"}]
        assert spec["imagePullSecrets"] == expected, name


def test_an_image_may_be_named_by_its_digest() -> None:
    digest = "sha256:" + "0123456789abcdef" * 4
    found = images({"image": {"digests": {"order": digest}}, "topology-operator": {"image": {"digest": digest}}})
    assert {f"warren/order@{digest}", f"warren/operator@{digest}", "warren/tools:0.1.0"} <= found


NO_USER = {
    "default": {"runAsUser": None},
    "rabbitmq": {"runAsUser": None},
    "postgresql": {"runAsUser": None},
    "topology-operator": {"runAsUser": None},
}


def test_user_ids_can_be_left_to_the_platform() -> None:
    for values in (NO_USER, merged(NO_USER, SERVERS)):
        bodies = render(values)
        for name, _, spec in pods(bodies):
            security = spec["securityContext"]
            assert security == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}, name
            assert all("runAsUser" not in each["securityContext"] for each in containers(spec)), name
    template = cluster(runAsUser=None)["spec"]["override"]["statefulSet"]["spec"]["template"]
    (broker,) = template["spec"]["containers"]
    assert (broker["name"], broker["securityContext"]) == ("rabbitmq", {})
    assert template["spec"]["securityContext"] == {}
    assert template["spec"]["initContainers"] == [{"name": "setup-container", "securityContext": {}}]


@pytest.mark.parametrize(
    ("value", "text"),
    [(1000000, "1000000"), (0.5, "0.5"), (True, "true"), ("1e3", "1e3"), ("a: b", "a: b"), (12345678, "12345678")],
)
def test_a_variable_keeps_its_text(value: object, text: str) -> None:
    values = {"default": {"environment": {"X": value}}, "topology-operator": {"environment": {"X": value}}}
    found = [
        variable["value"]
        for _, _, spec in pods(render(values))
        for each in containers(spec)
        for variable in each.get("env", ())
        if variable["name"] == "X"
    ]
    assert set(found) == {text}
    assert len(found) == 2 * len(PROCESSES) + 1  # each with an init container, and the operator


def test_names_that_look_like_other_yaml_types_stay_text() -> None:
    values = {"rabbitmq": {"vhost": "123"}, "components": {"sms": {"queue": "a: b", "autoscaling": {"enabled": True}}}}
    bodies = render(values, "true", "456")
    assert all(isinstance(body["metadata"]["name"], str) for body in bodies)
    assert {body["metadata"]["namespace"] for body in bodies if "namespace" in body["metadata"]} == {"456"}
    assert {body["metadata"]["labels"]["app.kubernetes.io/instance"] for body in bodies} == {"true"}
    (scaled,) = of_kind(bodies, "ScaledObject")
    triggers = [each["metadata"] for each in scaled["spec"]["triggers"]]
    assert {(each["queueName"], each["vhostName"]) for each in triggers} == {("a: b", "123")}


def test_ipv4_and_ipv6_networks_are_accepted() -> None:
    networks = ["::/0", "2001:db8::/32", "fe80:1:2:3:4:5:6:7/128", "10.0.0.0/8"]
    values: Object = {
        "networkPolicy": {"apiServer": {"cidrs": networks}},
        "topology-operator": {"networkPolicy": {"apiServer": {"cidrs": networks}, "brokerCidrs": networks}},
    }
    found = {
        peer["ipBlock"]["cidr"]
        for body in of_kind(render(values), "NetworkPolicy")
        for rule in body["spec"].get("egress", ())
        for peer in rule["to"]
        if "ipBlock" in peer
    }
    assert found == set(networks)


@pytest.mark.parametrize("amount", [0.5, 1, "0.5", "500m", "2e3", 1000000000])
def test_resource_amounts_are_accepted_in_every_form(amount: object) -> None:
    values = {
        "default": {"resources": {"requests": {"cpu": amount}}},
        "rabbitmq": {"resources": {"limits": {"cpu": amount}}, "storage": amount},
        "topology-operator": {"resources": {"limits": {"cpu": amount}}},
    }
    bodies = render(values)
    (broker,) = (body["spec"] for body in of_kind(bodies, "RabbitmqCluster"))
    assert broker["resources"]["limits"]["cpu"] == broker["persistence"]["storage"] == str(amount)


def test_the_operators_chart_accepts_the_same_settings() -> None:
    values = POD | METADATA | {"global": {"imageRegistry": "mirror.example"}, "runAsUser": None}
    done = helm(NEWEST, "template", "own", OPERATOR_CHART, values=values)
    assert done.returncode == 0, done.stderr
    (_, metadata, spec), _ = pods(objects(done.stdout))
    assert chosen(spec) == POD
    assert metadata["labels"]["team"] == "123"
    assert spec["containers"][0]["image"] == "mirror.example/warren/operator:0.1.0"
