"""The number of pods that an autoscaler derives from depth and rate of a queue with the chart's targets."""

import itertools
import math
from typing import NamedTuple

import pytest
import yaml
from msgspec.structs import fields

from services.registry import SERVICE_NAMES
from services.shared.chassis.settings import ProcessSettings
from tests.charts.rendering import CASES, Object, case, of_kind, render, the

AUTOSCALERS = ("ScaledObject", "HorizontalPodAutoscaler")
TOLERANCE = 0.1  # an autoscaler ignores a smaller relative difference


class Scaler(NamedTuple):
    """The targets of one consumer's autoscaler, from KEDA or the adapter."""

    queue: str
    minimum: int
    maximum: int
    depth: float
    """Target queue length for each pod."""
    rate: float
    """Target arrival rate for each pod, in messages a second."""

    def replicas(self, now: int, messages: float, arriving: float) -> int:
        """Returns the larger demand, by Kubernetes' documented formula for average values."""
        demand = max(_demand(now, messages, self.depth), _demand(now, arriving, self.rate))
        return min(max(demand, self.minimum), self.maximum)


def _demand(now: int, value: float, target: float) -> int:
    if abs(value / (target * now) - 1) <= TOLERANCE:
        return now
    return math.ceil(value / target)


def by_keda(bodies: list[Object]) -> dict[str, Scaler]:
    found = {}
    for body in of_kind(bodies, "ScaledObject"):
        spec = body["spec"]
        targets = {each["metadata"]["mode"]: each["metadata"] for each in spec["triggers"]}
        depth, rate = targets["QueueLength"], targets["MessageRate"]
        assert depth["queueName"] == rate["queueName"]
        bounds, values = (spec["minReplicaCount"], spec["maxReplicaCount"]), (depth["value"], rate["value"])
        found[spec["scaleTargetRef"]["name"]] = Scaler(depth["queueName"], *bounds, *map(float, values))
    return found


def by_adapter(bodies: list[Object]) -> dict[str, Scaler]:
    found = {}
    for body in of_kind(bodies, "HorizontalPodAutoscaler"):
        spec = body["spec"]
        if spec["metrics"][0]["type"] == "External":
            depth, rate = (each["external"] for each in spec["metrics"])
            assert depth["target"]["type"] == rate["target"]["type"] == "AverageValue"
            found[spec["scaleTargetRef"]["name"]] = Scaler(
                depth["metric"]["selector"]["matchLabels"]["queue"], spec["minReplicas"], spec["maxReplicas"],
                float(depth["target"]["averageValue"]), float(rate["target"]["averageValue"]),
            )  # fmt: skip
    return found


# Payment: one pod processes 200 a second and backlogSeconds is 10: targets of 2000 messages and 140 a second.
@pytest.mark.parametrize(
    ("now", "messages", "arriving", "expected"),
    [
        (1, 0, 0, 1),
        (1, 2_000, 0, 1),
        (1, 2_190, 0, 1),  # within the tolerance
        (1, 2_300, 0, 2),
        (1, 6_000, 0, 3),
        (3, 6_000, 0, 3),
        (3, 1_000, 0, 1),
        (1, 100_000, 0, 6),  # never above the maximum
        (1, 0, 140, 1),
        (1, 0, 300, 3),  # an empty queue, but a rate that one pod cannot process
        (3, 0, 400, 3),
        (2, 5_000, 700, 5),  # the larger demand counts
    ],
)
def test_depth_and_rate_determine_the_number_of_pods(now: int, messages: int, arriving: int, expected: int) -> None:
    payment = by_keda(case("keda"))["warren-payment"]
    assert payment == Scaler("payment.queue", 1, 6, 2_000, 140)
    assert payment.replicas(now, messages, arriving) == expected


@pytest.mark.parametrize(
    ("seconds", "each_second", "depth", "rate"),
    [(10, 200, 2_000, 140), (60, 20, 1_200, 14), (0.5, 3, 2, 2), (10, 0.5, 5, 1), (1.5, 2.5, 4, 1)],
)
def test_targets_follow_backlog_seconds(seconds: float, each_second: float, depth: int, rate: int) -> None:
    scaling = {"enabled": True, "backlogSeconds": seconds, "messagesPerSecond": each_second}
    found = by_keda(render({"components": {"sms": {"autoscaling": scaling}}}))
    assert found == {"warren-sms": Scaler("sms.queue", 1, 4, depth, rate)}


def test_keda_and_hpa_have_the_same_targets() -> None:
    assert by_keda(case("keda")) == by_adapter(case("hpa"))
    assert len(by_keda(case("keda"))) == len(SERVICE_NAMES)


@pytest.mark.parametrize("name", ["keda", "hpa", "production", "cert-manager-issuer"])
def test_one_autoscaler_for_each_deployment_without_replicas(name: str) -> None:
    bodies = case(name)
    targets = [body["spec"]["scaleTargetRef"]["name"] for body in of_kind(bodies, *AUTOSCALERS)]
    assert len(set(targets)) == len(targets) > 0
    deployments = {body["metadata"]["name"]: body["spec"] for body in of_kind(bodies, "Deployment")}
    assert not {name for name, spec in deployments.items() if "replicas" in spec} & set(targets)
    assert set(targets) <= deployments.keys()


@pytest.mark.parametrize("name", ["keda", "hpa", "production"])
def test_http_processes_scale_on_cpu_only(name: str) -> None:
    (metric,) = the(case(name), "HorizontalPodAutoscaler", "warren-order-api")["spec"]["metrics"]
    assert (metric["type"], metric["resource"]["name"]) == ("Resource", "cpu")


def test_autoscalers_read_only_consumed_queues() -> None:
    queues = {scaler.queue for scaler in by_keda(case("keda")).values()}
    declared = {queue for body in of_kind(case("keda"), "Topology") for queue in body["spec"].get("queues", {})}
    assert queues <= declared
    assert declared - queues == {each.replace(".queue", ".dlq") for each in queues} | {"unrouted.queue"}


def test_keda_uses_the_scaler_user() -> None:
    (authentication,) = of_kind(case("keda"), "TriggerAuthentication")
    assert {each["name"] for each in authentication["spec"]["secretTargetRef"]} == {"scaler-rabbitmq"}
    users = the(case("keda"), "Topology", "shared")["spec"]["users"].values()
    user = next(each for each in users if each["secretName"] == "scaler-rabbitmq")
    assert "permissions" not in user
    assert user["tags"] == ["management"]


def test_all_pools_at_maximum_fit_the_simple_database() -> None:
    """All components at their maximum, plus one more pod each during a rolling update."""
    (server,) = of_kind(case("keda"), "StatefulSet")
    arguments = server["spec"]["template"]["spec"]["containers"][0]["args"]
    allowed = next(int(each.partition("=")[2]) for each in arguments if each.startswith("max_connections="))
    scaled = [body["spec"] for body in of_kind(case("keda"), *AUTOSCALERS)]
    most = sum(spec.get("maxReplicaCount", spec.get("maxReplicas")) + 1 for spec in scaled)
    (connections,) = (each for each in fields(ProcessSettings) if each.name == "database_connections")
    each_process = connections.default
    assert most * each_process <= allowed


def asked_for(bodies: list[Object]) -> list[Object]:
    return [
        metric["external"]["metric"]["selector"]["matchLabels"]
        for body in of_kind(bodies, "HorizontalPodAutoscaler")
        for metric in body["spec"]["metrics"]
        if metric["type"] == "External"
    ]


def labels_given(bodies: list[Object]) -> list[Object]:
    """Labels that a PodMonitor adds to its series to distinguish releases; the Prometheus Operator adds `namespace`."""
    return [
        {"release": each["replacement"], "namespace": body["metadata"]["namespace"]}
        for body in of_kind(bodies, "PodMonitor")
        if "operator" not in body["metadata"]["name"]
        for endpoint in body["spec"]["podMetricsEndpoints"]
        for each in endpoint["relabelings"]
        if each["targetLabel"] == "release"
    ]


def test_two_releases_scale_on_their_own_metrics() -> None:
    """Both have the same names of virtual host, queues and services, and share one adapter."""
    values = yaml.safe_load(CASES["hpa"].read_text())
    releases = [render(values, *where) for where in (("warren", "shop"), ("warren", "test"), ("other", "shop"))]
    for bodies in releases:
        selectors, given = asked_for(bodies), labels_given(bodies)
        assert len(selectors) == 2 * len(SERVICE_NAMES)
        assert len(given) == 3
        for selector in selectors:
            assert [selector.items() >= each.items() for each in given] == [True] * 3
    for one, other in itertools.permutations(releases, 2):
        for selector in asked_for(one):
            assert not any(selector.items() >= each.items() for each in labels_given(other))


def test_the_adapter_rules_distinguish_releases() -> None:
    (rules,) = (body["data"]["rules.yaml"] for body in case("hpa") if "rules.yaml" in (body.get("data") or {}))
    for rule in yaml.safe_load(rules):
        assert "by (namespace, release, " in rule["metricsQuery"]
        assert "<<.LabelMatchers>>" in rule["metricsQuery"]


def test_metrics_of_an_external_broker_are_selected_by_its_labels() -> None:
    values = yaml.safe_load(CASES["external"].read_text()) | {"autoscaling": {"mode": "hpa"}}
    values["rabbitmq"]["external"]["metricLabels"] = {"job": "broker"}
    values["components"] = {"sms": {"autoscaling": {"enabled": True}}}
    depth, rate = asked_for(render(values))
    assert depth == {"queue": "sms.queue", "vhost": "orders", "job": "broker"}
    assert rate == {"messaging_consumer_group_name": "sms", "namespace": "shop", "release": "warren"}


def test_connection_limits_follow_the_number_of_pods() -> None:
    """Connections for the largest number of pods and one more during an update, doubled."""
    values = yaml.safe_load(CASES["default"].read_text()) or {}
    scaled = {"payment": {"autoscaling": {"enabled": True, "maximum": 40}}, "email": {"replicas": 9}}
    bodies = render(values | {"components": scaled})
    users = {
        name: user["limits"]["maxConnections"]
        for body in of_kind(bodies, "Topology")
        for name, user in (body["spec"].get("users") or {}).items()
    }
    assert (users["payment"], users["email"], users["sms"], users["order"]) == (4 * 41, 4 * 10, 30, 60)
