"""NetworkPolicies: a service may connect to its database, the broker, DNS and the systems that it calls."""

import itertools

import pytest

from services.registry import PROCESSES
from tests.charts.reach import End, may_connect, policies_for
from tests.charts.rendering import CASES, Object, case, made_of, pods

DNS = End("dns", {"k8s-app": "kube-dns"}, "kube-system")
PROMETHEUS = End("prometheus", {"app": "prometheus"}, "monitoring")
KEDA = End("keda", {"app": "keda-operator"}, "keda")
INGRESS = End("ingress", {"app": "nginx"}, "ingress-nginx")
STRANGER = End("stranger", {"app": "x"}, "elsewhere")
NEIGHBOUR = End("neighbour", {"app": "x"})
WORLD = End("world", address="203.0.113.7")
API_SERVER = End("api server", address="10.96.0.1")
WITH_POLICIES = [name for name in CASES if name != "no-network-policy"]
SERVICES = set(PROCESSES)
BROKER_LABELS = {"app.kubernetes.io/name": "warren-rabbitmq", "app.kubernetes.io/component": "rabbitmq"}
PORTS = (25, 443, 587, 2525, 4369, 5432, 5671, 5672, 6443, 8025, 8080, 8443, 9464, 15671, 15672, 15691, 15692)


def ends(bodies: list[Object]) -> dict[str, End]:
    """The chart's pods by component, and those of the Cluster Operator."""
    found = {
        metadata["labels"]["app.kubernetes.io/component"]: End(name, metadata["labels"])
        for name, metadata, _ in pods(bodies)
    }
    if any(body["kind"] == "RabbitmqCluster" for body in bodies):
        found["rabbitmq"] = End("rabbitmq", BROKER_LABELS)
    return found


def reached(bodies: list[Object]) -> set[tuple[str, str, int]]:
    """Every allowed connection among the chart's pods and typical outside hosts."""
    all_ends = ends(bodies) | {
        end.name: end for end in (DNS, PROMETHEUS, KEDA, INGRESS, STRANGER, NEIGHBOUR, WORLD, API_SERVER)
    }
    outside = {"dns", "prometheus", "keda", "ingress", "stranger", "neighbour", "world", "api server"}
    return {
        (source, target, port)
        for (source, one), (target, other) in itertools.permutations(all_ends.items(), 2)
        if not {source, target} <= outside
        for port in PORTS
        if may_connect(one, other, port, bodies)
    }


@pytest.mark.parametrize("name", WITH_POLICIES)
def test_exactly_one_policy_selects_each_pod(name: str) -> None:
    for end in ends(case(name)).values():
        (policy,) = policies_for(end, case(name))
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]


def test_network_policies_can_be_disabled() -> None:
    assert "NetworkPolicy" not in {body["kind"] for body in case("no-network-policy")}


def test_allowed_connections_with_own_servers() -> None:
    wanted = {(each, "postgresql", 5432) for each in SERVICES | {"migrations"}}
    wanted |= {(each, "rabbitmq", 5671) for each in SERVICES}
    wanted |= {("prometheus", each, 9464) for each in SERVICES | {"operator"}}
    wanted |= {("prometheus", "rabbitmq", 15692), ("operator", "rabbitmq", 15671)}
    wanted |= {("email", "sinks", 2525), ("sms", "sinks", 8025), ("smoke", "order-api", 8080)}
    wanted |= {
        (each, "api server", port)
        for each in ("provision", "removal", "definition", "operator")
        for port in (443, 6443)
    }  # fmt: skip
    # By default the API server may have any address.
    wanted |= {(source, "world", port) for source, target, port in wanted if target == "api server"}
    assert reached(case("simple")) == wanted


def test_broker_nodes_may_connect_to_each_other() -> None:
    node = End("rabbitmq", BROKER_LABELS)
    other = End("another", BROKER_LABELS)
    for port in (4369, 25672, 35672, 35682):
        assert may_connect(node, other, port, case("default"))
        assert not may_connect(NEIGHBOUR, node, port, case("default"))
    assert may_connect(PROMETHEUS, node, 15691, case("default"))
    assert not may_connect(PROMETHEUS, node, 15692, case("default"))


@pytest.mark.parametrize("name", ["simple", "default", "keda", "production"])
def test_dns_peers_can_be_set(name: str) -> None:
    asking = {each for each, end in ends(case(name)).items() if may_connect(end, DNS, 53, case(name), "UDP")}
    silent = {"provision", "removal", "definition", "postgresql", "sinks"} | (
        {"rabbitmq"} if name == "simple" else set()
    )
    assert asking == ends(case(name)).keys() - silent


def test_external_servers_are_allowed_in_their_networks_only() -> None:
    bodies = case("external")
    found = ends(bodies)
    database, broker = End("database", address="10.2.0.9"), End("broker", address="10.1.0.9")
    mail, sms = End("mail", address="192.0.2.9"), End("sms", address="198.51.100.9")
    for name in SERVICES:
        assert may_connect(found[name], database, 5432, bodies)
        assert may_connect(found[name], broker, 5671, bodies)
        assert not may_connect(found[name], broker, 15671, bodies)
        assert not may_connect(found[name], broker, 5432, bodies)
        assert may_connect(found[name], mail, 587, bodies) == (name == "email")
        assert may_connect(found[name], sms, 8443, bodies) == (name == "sms")
        assert not may_connect(found[name], WORLD, 443, bodies)
    assert may_connect(found["operator"], broker, 15671, bodies)
    assert not may_connect(found["operator"], database, 15671, bodies)


def test_the_autoscaler_may_reach_the_broker_only_when_enabled() -> None:
    for name, asks in (("keda", True), ("hpa", False), ("default", False)):
        assert may_connect(KEDA, ends(case(name))["rabbitmq"], 15671, case(name)) == asks


def test_the_ingress_may_reach_only_the_order_api() -> None:
    bodies = case("production")
    found = ends(bodies)
    assert {name for name in SERVICES if may_connect(INGRESS, found[name], 8080, bodies)} == {"order-api"}
    assert not may_connect(INGRESS, found["order-api"], 9464, bodies)
    assert not may_connect(INGRESS, ends(case("default"))["order-api"], 8080, case("default"))


def test_an_operator_in_another_namespace_may_reach_the_broker() -> None:
    theirs = End(
        "theirs", {"app.kubernetes.io/name": "topology-operator", "app.kubernetes.io/component": "operator"}, "ops"
    )
    assert may_connect(theirs, ends(case("one-operator"))["rabbitmq"], 15671, case("one-operator"))
    assert not may_connect(theirs, ends(case("default"))["rabbitmq"], 15671, case("default"))


def test_a_component_may_have_egress_rules_of_its_own() -> None:
    gateway = {"to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}], "ports": [{"protocol": "TCP", "port": 443}]}
    caller = {"podSelector": {"matchLabels": {"app": "x"}}}
    bodies = made_of({"components": {"payment": {"egress": [gateway]}, "audit": {"calledBy": [caller]}}})
    found = ends(bodies)
    assert {name for name in SERVICES if may_connect(found[name], WORLD, 443, bodies)} == {"payment"}
    assert {name for name in SERVICES if may_connect(NEIGHBOUR, found[name], 8080, bodies)} == {"audit"}
