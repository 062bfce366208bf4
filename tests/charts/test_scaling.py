"""How many pods the targets in values give, for depths and rates of queues: the arithmetic of an autoscaler."""

import itertools
import math
from typing import NamedTuple

import pytest
import yaml

from devtools.paths import CHECKOUT
from tests.charts.rendering import CASES, Object, case, made_of

TOLERANCE = 0.1  # an autoscaler leaves things as they are when it is so near to its target


class Scaler(NamedTuple):
    """What one consumer's autoscaler was told, whichever makes it."""

    queue: str
    minimum: int
    maximum: int
    depth: float
    """Messages for each pod."""
    rate: float
    """Messages a second for each pod."""

    def replicas(self, now: int, messages: float, arriving: float) -> int:
        """The greater of both demands, each as Kubernetes documents it for an average value."""
        wanted = max(_demand(now, messages, self.depth), _demand(now, arriving, self.rate))
        return min(max(wanted, self.minimum), self.maximum)


def _demand(now: int, value: float, target: float) -> int:
    if abs(value / (target * now) - 1) <= TOLERANCE:
        return now
    return math.ceil(value / target)


def by_keda(bodies: list[Object]) -> dict[str, Scaler]:
    found = {}
    for body in bodies:
        if body["kind"] == "ScaledObject":
            spec = body["spec"]
            told = {each["metadata"]["mode"]: each["metadata"] for each in spec["triggers"]}
            depth, rate = told["QueueLength"], told["MessageRate"]
            assert depth["queueName"] == rate["queueName"]
            found[spec["scaleTargetRef"]["name"]] = Scaler(
                depth["queueName"], spec["minReplicaCount"], spec["maxReplicaCount"], float(depth["value"]),
                float(rate["value"]),
            )  # fmt: skip
    return found


def by_adapter(bodies: list[Object]) -> dict[str, Scaler]:
    found = {}
    for body in bodies:
        spec = body.get("spec", {})
        if body["kind"] == "HorizontalPodAutoscaler" and spec["metrics"][0]["type"] == "External":
            depth, rate = (each["external"] for each in spec["metrics"])
            assert depth["target"]["type"] == rate["target"]["type"] == "AverageValue"
            found[spec["scaleTargetRef"]["name"]] = Scaler(
                depth["metric"]["selector"]["matchLabels"]["queue"], spec["minReplicas"], spec["maxReplicas"],
                float(depth["target"]["averageValue"]), float(rate["target"]["averageValue"]),
            )  # fmt: skip
    return found


# Payment: one pod does 200 a second, and nobody should wait for more than 10 s: 2000 messages, 140 a second, each.
@pytest.mark.parametrize(
    ("now", "messages", "arriving", "wanted"),
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
        (1, 0, 300, 3),  # nothing waits, and yet one pod alone would not keep up
        (3, 0, 400, 3),
        (2, 5_000, 700, 5),  # the greater demand wins
    ],
)
def test_depth_and_rate_give_so_many_pods(now: int, messages: int, arriving: int, wanted: int) -> None:
    payment = by_keda(case("keda"))["warren-payment"]
    assert payment == Scaler("payment.queue", 1, 6, 2_000, 140)
    assert payment.replicas(now, messages, arriving) == wanted


@pytest.mark.parametrize(
    ("seconds", "each_second", "depth", "rate"),
    [(10, 200, 2_000, 140), (60, 20, 1_200, 14), (0.5, 3, 2, 2), (10, 0.5, 5, 1), (1.5, 2.5, 4, 1)],
)
def test_targets_are_seconds_of_backlog(seconds: float, each_second: float, depth: int, rate: int) -> None:
    scaling = {"enabled": True, "backlogSeconds": seconds, "messagesPerSecond": each_second}
    found = by_keda(made_of({"components": {"sms": {"autoscaling": scaling}}}))
    assert found == {"warren-sms": Scaler("sms.queue", 1, 4, depth, rate)}


def test_both_ways_of_scaling_have_the_same_targets() -> None:
    assert by_keda(case("keda")) == by_adapter(case("hpa"))
    assert len(by_keda(case("keda"))) == 8


@pytest.mark.parametrize("name", ["keda", "hpa", "production", "cert-manager-issuer"])
def test_nothing_is_scaled_by_two_and_what_is_scaled_has_no_number(name: str) -> None:
    bodies = case(name)
    targets = [
        body["spec"]["scaleTargetRef"]["name"]
        for body in bodies
        if body["kind"] in {"ScaledObject", "HorizontalPodAutoscaler"}
    ]
    assert len(set(targets)) == len(targets) > 0
    numbered = {
        body["metadata"]["name"] for body in bodies if body["kind"] == "Deployment" and "replicas" in body["spec"]
    }
    assert not numbered & set(targets)
    assert set(targets) <= {body["metadata"]["name"] for body in bodies if body["kind"] == "Deployment"}


@pytest.mark.parametrize("name", ["keda", "hpa", "production"])
def test_http_scales_on_processor_time_and_on_nothing_else(name: str) -> None:
    (api,) = (
        body
        for body in case(name)
        if body["kind"] == "HorizontalPodAutoscaler" and body["metadata"]["name"] == "warren-order-api"
    )
    (metric,) = api["spec"]["metrics"]
    assert (metric["type"], metric["resource"]["name"]) == ("Resource", "cpu")


def test_only_queues_that_services_consume_are_looked_at() -> None:
    queues = {scaler.queue for scaler in by_keda(case("keda")).values()}
    declared = {
        queue for body in case("keda") if body["kind"] == "Topology" for queue in body["spec"].get("queues", {})
    }
    assert queues <= declared
    assert declared - queues == {each.replace(".queue", ".dlq") for each in queues} | {"unrouted.queue"}


def test_keda_logs_in_as_the_user_that_may_only_look() -> None:
    (authentication,) = (body["spec"] for body in case("keda") if body["kind"] == "TriggerAuthentication")
    assert {each["name"] for each in authentication["secretTargetRef"]} == {"scaler-rabbitmq"}
    (shared,) = (
        body["spec"] for body in case("keda") if body["kind"] == "Topology" and body["metadata"]["name"] == "shared"
    )
    user = next(each for each in shared["users"].values() if each["secretName"] == "scaler-rabbitmq")
    assert "permissions" not in user
    assert user["tags"] == ["management"]


def test_a_pool_at_its_largest_does_not_use_up_the_simple_database() -> None:
    """At every maximum at once, and one more pod of each while one is replaced."""
    (server,) = (body for body in case("keda") if body["kind"] == "StatefulSet")
    arguments = server["spec"]["template"]["spec"]["containers"][0]["args"]
    allowed = next(int(each.partition("=")[2]) for each in arguments if each.startswith("max_connections="))
    scaled = [body["spec"] for body in case("keda") if body["kind"] in {"ScaledObject", "HorizontalPodAutoscaler"}]
    most = sum(spec.get("maxReplicaCount", spec.get("maxReplicas")) + 1 for spec in scaled)
    text = (CHECKOUT / "services/shared/chassis/settings.py").read_text()
    each_process = int(text.partition("database_connections: ConnectionCount = ")[2].split()[0])
    assert most * each_process <= allowed


def asked_for(bodies: list[Object]) -> list[Object]:
    return [
        metric["external"]["metric"]["selector"]["matchLabels"]
        for body in bodies
        if body["kind"] == "HorizontalPodAutoscaler"
        for metric in body["spec"]["metrics"]
        if metric["type"] == "External"
    ]


def labels_given(bodies: list[Object]) -> list[Object]:
    """Labels that every series of a monitor gets; `namespace` is from Prometheus's operator."""
    return [
        {each["targetLabel"]: each["replacement"] for each in endpoint["relabelings"]}
        | {"namespace": body["metadata"]["namespace"]}
        for body in bodies
        if body["kind"] == "PodMonitor" and "operator" not in body["metadata"]["name"]
        for endpoint in body["spec"]["podMetricsEndpoints"]
    ]


def test_two_releases_scale_on_their_own_numbers() -> None:
    """They have the same virtual host, queues and services, and one adapter with one set of rules."""
    values = yaml.safe_load(CASES["hpa"].read_text())
    releases = [made_of(values, *where) for where in (("warren", "shop"), ("warren", "test"), ("other", "shop"))]
    for bodies in releases:
        selectors, given = asked_for(bodies), labels_given(bodies)
        assert len(selectors) == 16
        assert len(given) == 3
        for selector in selectors:
            assert [selector.items() >= each.items() for each in given] == [True] * 3
    for one, other in itertools.permutations(releases, 2):
        for selector in asked_for(one):
            assert not any(selector.items() >= each.items() for each in labels_given(other))


def test_the_rules_of_the_adapter_keep_releases_apart() -> None:
    (rules,) = (body["data"]["rules.yaml"] for body in case("hpa") if "rules.yaml" in (body.get("data") or {}))
    for rule in yaml.safe_load(rules):
        assert "by (namespace, release, " in rule["metricsQuery"]
        assert "<<.LabelMatchers>>" in rule["metricsQuery"]


def test_an_external_brokers_numbers_are_found_by_the_labels_that_its_owner_names() -> None:
    values = yaml.safe_load(CASES["external"].read_text()) | {"autoscaling": {"mode": "hpa"}}
    values["rabbitmq"]["external"]["metricLabels"] = {"job": "broker"}
    values["components"] = {"sms": {"autoscaling": {"enabled": True}}}
    depth, rate = asked_for(made_of(values))
    assert depth == {"queue": "sms.queue", "vhost": "orders", "job": "broker"}
    assert rate == {"messaging_consumer_group_name": "sms", "namespace": "shop", "release": "warren"}


def test_the_limits_of_a_service_user_follow_its_pods() -> None:
    """Connections for the most pods there may be, one more while they are replaced, and twice that."""
    values = yaml.safe_load(CASES["default"].read_text()) if "default" in CASES else {}
    scaled = {"payment": {"autoscaling": {"enabled": True, "maximum": 40}}, "email": {"replicas": 9}}
    bodies = made_of(values | {"components": scaled})
    users = {
        name: user["limits"]["maxConnections"]
        for body in bodies
        if body["kind"] == "Topology"
        for name, user in (body["spec"].get("users") or {}).items()
    }
    assert (users["payment"], users["email"], users["sms"], users["order"]) == (4 * 41, 4 * 10, 30, 60)
