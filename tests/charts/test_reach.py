"""Each service reaches its database, the broker, DNS and what it calls, and is reached by who uses it."""

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
    """Our pods by component, and those that the cluster operator makes."""
    found = {
        metadata["labels"]["app.kubernetes.io/component"]: End(name, metadata["labels"])
        for name, metadata, _ in pods(bodies)
    }
    if any(body["kind"] == "RabbitmqCluster" for body in bodies):
        found["rabbitmq"] = End("rabbitmq", BROKER_LABELS)
    return found


def reached(bodies: list[Object]) -> set[tuple[str, str, int]]:
    """Every connection that may be, among our pods and people of all kinds."""
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
def test_every_pod_is_under_exactly_one_policy_for_both_directions(name: str) -> None:
    for end in ends(case(name)).values():
        (policy,) = policies_for(end, case(name))
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]


def test_without_policies_there_are_none() -> None:
    assert "NetworkPolicy" not in {body["kind"] for body in case("no-network-policy")}


def test_what_may_be_reached_in_an_installation_of_its_own_is_this_and_no_more() -> None:
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
    # The default networks of the API server are all: where it is, no chart can know.
    wanted |= {(source, "world", port) for source, target, port in wanted if target == "api server"}
    assert reached(case("simple")) == wanted


def test_a_cluster_of_nodes_speaks_with_itself_too() -> None:
    node = End("rabbitmq", BROKER_LABELS)
    other = End("another", BROKER_LABELS)
    for port in (4369, 25672, 35672, 35682):
        assert may_connect(node, other, port, case("default"))
        assert not may_connect(NEIGHBOUR, node, port, case("default"))
    assert may_connect(PROMETHEUS, node, 15691, case("default"))
    assert not may_connect(PROMETHEUS, node, 15692, case("default"))


@pytest.mark.parametrize("name", ["simple", "default", "keda", "production"])
def test_names_are_resolved_by_who_knows_names(name: str) -> None:
    asking = {each for each, end in ends(case(name)).items() if may_connect(end, DNS, 53, case(name), "UDP")}
    silent = {"provision", "removal", "definition", "postgresql", "sinks"} | (
        {"rabbitmq"} if name == "simple" else set()
    )
    assert asking == ends(case(name)).keys() - silent


def test_servers_elsewhere_are_reached_in_their_networks_only() -> None:
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


def test_who_scales_asks_the_broker_and_only_where_it_does() -> None:
    for name, asks in (("keda", True), ("hpa", False), ("default", False)):
        assert may_connect(KEDA, ends(case(name))["rabbitmq"], 15671, case(name)) == asks


def test_an_ingress_leads_to_the_order_api_alone() -> None:
    bodies = case("production")
    found = ends(bodies)
    assert {name for name in SERVICES if may_connect(INGRESS, found[name], 8080, bodies)} == {"order-api"}
    assert not may_connect(INGRESS, found["order-api"], 9464, bodies)
    assert not may_connect(INGRESS, ends(case("default"))["order-api"], 8080, case("default"))


def test_an_operator_of_another_namespace_manages_this_broker() -> None:
    theirs = End(
        "theirs", {"app.kubernetes.io/name": "topology-operator", "app.kubernetes.io/component": "operator"}, "ops"
    )
    assert may_connect(theirs, ends(case("one-operator"))["rabbitmq"], 15671, case("one-operator"))
    assert not may_connect(theirs, ends(case("default"))["rabbitmq"], 15671, case("default"))


def test_what_a_component_calls_is_said_beside_it() -> None:
    gateway = {"to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}], "ports": [{"protocol": "TCP", "port": 443}]}
    caller = {"podSelector": {"matchLabels": {"app": "x"}}}
    bodies = made_of({"components": {"payment": {"egress": [gateway]}, "audit": {"calledBy": [caller]}}})
    found = ends(bodies)
    assert {name for name in SERVICES if may_connect(found[name], WORLD, 443, bodies)} == {"payment"}
    assert {name for name in SERVICES if may_connect(NEIGHBOUR, found[name], 8080, bodies)} == {"audit"}
