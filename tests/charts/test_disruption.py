"""Probes, disruption budgets, spread constraints and grace periods."""

import pytest

from services.registry import HTTP_PROCESSES
from tests.charts.rendering import CASES, Object, case, containers, of_kind, pods, render

MINUTES = 60
HTTP = {f"warren-{process}" for process in HTTP_PROCESSES}
BROKER = {"app.kubernetes.io/name": "warren-rabbitmq", "app.kubernetes.io/component": "rabbitmq"}


def specs(bodies: list[Object], kind: str) -> dict[str, Object]:
    return {body["metadata"]["name"]: body["spec"] for body in of_kind(bodies, kind)}


def long_running(bodies: list[Object]) -> dict[str, Object]:
    """Returns the main container of each long-running pod."""
    return {
        name: container
        for name, _, spec in pods(bodies)
        if not name.startswith(("Job/", "Pod/"))
        for container in spec["containers"]
    }


def patience(container: Object) -> int:
    probe = container["startupProbe"]
    return int(probe["periodSeconds"] * probe["failureThreshold"])


@pytest.mark.parametrize("name", CASES)
def test_startup_probes_allow_minutes(name: str) -> None:
    found = {pod: patience(container) for pod, container in long_running(case(name)).items()}
    assert len(found) >= 9
    assert {pod: seconds for pod, seconds in found.items() if seconds < 5 * MINUTES} == {}


def test_startup_seconds_can_be_set_for_each_kind_of_process() -> None:
    values = {
        "default": {"startupSeconds": 61},
        "components": {"payment": {"startupSeconds": 301}},
        "rabbitmq": {"mode": "simple", "startupSeconds": 400},
        "postgresql": {"startupSeconds": 500},
        "topology-operator": {"startupSeconds": 700},
    }
    found = {pod: patience(container) for pod, container in long_running(render(values)).items()}
    assert found.pop("Deployment/warren-payment") == 303
    assert found.pop("StatefulSet/warren-rabbitmq") == 402
    assert found.pop("StatefulSet/warren-postgresql") == 501
    assert found.pop("Deployment/warren-topology-operator") == 702
    assert set(found.values()) == {63}


def three(**values: Object) -> list[Object]:
    return render({"rabbitmq": {"replicas": 3, **values}})


def test_a_budget_allows_one_broker_eviction_at_a_time() -> None:
    budget = specs(three(), "PodDisruptionBudget")["warren-rabbitmq"]
    assert budget == {"maxUnavailable": 1, "selector": {"matchLabels": BROKER}}


def test_a_single_broker_has_no_budget() -> None:
    (spec,) = specs(case("default"), "RabbitmqCluster").values()
    assert "warren-rabbitmq" not in specs(case("default"), "PodDisruptionBudget")
    assert spec["terminationGracePeriodSeconds"] == 120
    assert "topologySpreadConstraints" not in template_of(case("default"))


def template_of(bodies: list[Object]) -> Object:
    """Returns the chart's override of the Cluster Operator's pod template."""
    (spec,) = specs(bodies, "RabbitmqCluster").values()
    template: Object = spec["override"]["statefulSet"]["spec"]["template"]["spec"]
    return template


def constraints(bodies: list[Object]) -> list[Object]:
    return list(template_of(bodies)["topologySpreadConstraints"])


def test_a_clustered_broker_has_long_startup_and_readiness_timeouts() -> None:
    for seconds, times in ((600, 60), (61, 7)):
        (container,) = template_of(three(startupSeconds=seconds))["containers"]
        probe = container["startupProbe"]
        assert (container["name"], probe["failureThreshold"], probe["timeoutSeconds"]) == ("rabbitmq", times, 60)


def test_brokers_are_spread_over_nodes() -> None:
    (spread,) = constraints(three())
    assert spread == {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "DoNotSchedule",
        "nodeTaintsPolicy": "Honor",
        "labelSelector": {"matchLabels": BROKER},
    }
    (loose,) = constraints(three(spread="ScheduleAnyway"))  # type: ignore[arg-type]
    assert loose["whenUnsatisfiable"] == "ScheduleAnyway"


def test_a_stopping_broker_may_wait_for_a_majority() -> None:
    (spec,) = specs(three(), "RabbitmqCluster").values()
    assert spec["terminationGracePeriodSeconds"] == 60 * MINUTES
    (spec,) = specs(three(terminationGracePeriodSeconds=7200), "RabbitmqCluster").values()  # type: ignore[arg-type]
    assert spec["terminationGracePeriodSeconds"] == 7200


@pytest.mark.parametrize("name", CASES)
def test_components_with_several_pods_have_a_budget_of_one(name: str) -> None:
    budgets = specs(case(name), "PodDisruptionBudget")
    autoscalers = of_kind(case(name), "ScaledObject", "HorizontalPodAutoscaler")
    scaled = {body["spec"]["scaleTargetRef"]["name"] for body in autoscalers}
    several = scaled | {key for key, spec in specs(case(name), "Deployment").items() if spec.get("replicas", 1) > 1}
    several |= {key for key, spec in specs(case(name), "RabbitmqCluster").items() if spec["replicas"] > 1}
    assert budgets.keys() == several
    assert {budget["maxUnavailable"] for budget in budgets.values()} <= {1}


def ending(bodies: list[Object]) -> dict[str, tuple[int, int, int]]:
    """Returns for each service: seconds before SIGTERM, its own limit after it, and Kubernetes' limit for both."""
    found = {}
    for name, spec in specs(bodies, "Deployment").items():
        pod = spec["template"]["spec"]
        container = containers(pod)[-1]
        limit = [int(each["value"]) for each in container.get("env", ()) if each["name"] == "WARREN_SHUTDOWN_SECONDS"]
        if limit:
            pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
            found[name] = (pause, limit[0], pod["terminationGracePeriodSeconds"])
    return found


def test_pre_stop_seconds_count_against_the_grace_period() -> None:
    values = {
        "default": {"preStopSeconds": 20},
        "components": {"audit": {"preStopSeconds": 0, "terminationGracePeriodSeconds": 10}},
    }
    assert {pause for name, (pause, _, _) in ending(case("default")).items() if name in HTTP} == {8}
    for bodies in (
        case("default"),
        render({**values, "default": {"preStopSeconds": 20, "terminationGracePeriodSeconds": 60}}),
    ):
        for name, (pause, limit, grace) in ending(bodies).items():
            assert pause + limit < grace, name
            assert (pause > 0) == (name in HTTP and (name != "warren-audit" or bodies is case("default"))), name
