"""NetworkPolicies: a service may connect to its database, the broker, DNS and the external systems that it calls."""

import itertools

import pytest

from services.registry import PROCESSES
from tests.charts.network_policies import Endpoint, may_connect, policies_for
from tests.charts.rendering import CASES, Object, case, pods, render

DNS = Endpoint("dns", {"k8s-app": "kube-dns"}, "kube-system")
PROMETHEUS = Endpoint("prometheus", {"app": "prometheus"}, "monitoring")
KEDA = Endpoint("keda", {"app": "keda-operator"}, "keda")
INGRESS = Endpoint("ingress", {"app": "nginx"}, "ingress-nginx")
OTHER_NAMESPACE = Endpoint("other namespace", {"app": "x"}, "elsewhere")
SAME_NAMESPACE = Endpoint("same namespace", {"app": "x"})
INTERNET = Endpoint("internet", address="203.0.113.7")
API_SERVER = Endpoint("api server", address="10.96.0.1")
WITH_POLICIES = [name for name in CASES if name != "no-network-policy"]
SERVICES = set(PROCESSES)
BROKER_LABELS = {"app.kubernetes.io/name": "warren-rabbitmq", "app.kubernetes.io/component": "rabbitmq"}
PORTS = (
    *(25, 443, 587, 2525, 3000, 4317, 4318, 4369, 5432, 5671, 5672, 6443, 8025, 8080, 8443, 8888, 9090, 9187, 9464),
    *(13133, 15671, 15672, 15691, 15692, 16686),
)


def endpoints(bodies: list[Object]) -> dict[str, Endpoint]:
    """Returns the chart's pods by component, and the broker pods that the RabbitMQ Cluster Operator creates."""
    found = {
        metadata["labels"]["app.kubernetes.io/component"]: Endpoint(name, metadata["labels"])
        for name, metadata, _ in pods(bodies)
    }
    if any(body["kind"] == "RabbitmqCluster" for body in bodies):
        found["rabbitmq"] = Endpoint("rabbitmq", BROKER_LABELS)
    return found


def allowed_connections(bodies: list[Object]) -> set[tuple[str, str, int]]:
    """Returns allowed connections (source, target, port): between the chart's pods, and with other endpoints."""
    everything = endpoints(bodies) | {
        end.name: end for end in (DNS, PROMETHEUS, KEDA, INGRESS, OTHER_NAMESPACE, SAME_NAMESPACE, INTERNET, API_SERVER)
    }
    outside = {"dns", "prometheus", "keda", "ingress", "other namespace", "same namespace", "internet", "api server"}
    return {
        (source, target, port)
        for (source, from_), (target, to) in itertools.permutations(everything.items(), 2)
        if not {source, target} <= outside
        for port in PORTS
        if may_connect(from_, to, port, bodies)
    }


@pytest.mark.parametrize("name", WITH_POLICIES)
def test_exactly_one_policy_selects_each_pod(name: str) -> None:
    for end in endpoints(case(name)).values():
        (policy,) = policies_for(end, case(name))
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]


def test_network_policies_can_be_disabled() -> None:
    assert "NetworkPolicy" not in {body["kind"] for body in case("no-network-policy")}


def test_the_allowed_connections_with_the_chart_s_own_servers() -> None:
    expected = {(each, "postgresql", 5432) for each in SERVICES | {"migrations"}}
    expected |= {(each, "rabbitmq", 5671) for each in SERVICES}
    expected |= {("prometheus", each, 9464) for each in SERVICES | {"operator"}}
    expected |= {("prometheus", "rabbitmq", 15691), ("operator", "rabbitmq", 15671)}
    expected |= {("email", "sinks", 2525), ("sms", "sinks", 8025), ("smoke", "order-api", 8080)}
    expected |= {
        (each, "api server", port)
        for each in ("provision", "removal", "definition", "operator")
        for port in (443, 6443)
    }  # fmt: skip
    # By default the API server may have any address.
    expected |= {(source, "internet", port) for source, target, port in expected if target == "api server"}
    assert allowed_connections(case("simple")) == expected


def test_the_monitoring_servers_may_connect_to_what_they_read() -> None:
    """The release's own Prometheus scrapes, in addition to that of the namespace `monitoring`."""
    bodies = case("observability")
    inside = {"prometheus", "postgres-exporter", "grafana", "collector", "jaeger"}
    found = {
        (source, target, port)
        for source, target, port in own_connections(bodies) - own_connections(case("default"))
        if {source, target} & inside
    }
    expected = {("prometheus", each, 9464) for each in SERVICES | {"operator"}}
    expected |= {(each, "collector", 4318) for each in SERVICES}
    expected |= {("prometheus", "rabbitmq", 15691), ("prometheus", "collector", 8888)}
    expected |= {("prometheus", "postgres-exporter", 9187), ("postgres-exporter", "postgresql", 5432)}
    expected |= {("grafana", "prometheus", 9090), ("grafana", "jaeger", 16686), ("collector", "jaeger", 4317)}
    assert found == expected
    ends = endpoints(bodies)
    for outside in (SAME_NAMESPACE, OTHER_NAMESPACE, INGRESS):
        assert not any(may_connect(outside, ends[each], port, bodies) for each in inside for port in PORTS)
    assert not any(may_connect(ends[each], INTERNET, 443, bodies) for each in inside - {"prometheus"})


def own_connections(bodies: list[Object]) -> set[tuple[str, str, int]]:
    """Returns the allowed connections between the chart's pods."""
    ends = endpoints(bodies)
    return {
        (source, target, port)
        for source, target in itertools.permutations(ends, 2)
        for port in PORTS
        if may_connect(ends[source], ends[target], port, bodies)
    }


def test_processes_may_connect_to_a_collector_of_your_own() -> None:
    bodies = case("own-monitoring")
    collector = Endpoint("collector", {"app": "otel"}, "monitoring")
    for name in SERVICES:
        assert [port for port in PORTS if may_connect(endpoints(bodies)[name], collector, port, bodies)] == [4318]
        assert not may_connect(endpoints(case("default"))[name], collector, 4318, case("default"))
    outside = [{"ipBlock": {"cidr": "203.0.113.0/24"}}]
    values: Object = {
        "networkPolicy": {"tracesTo": outside},
        "observability": {"otlpEndpoint": "https://otlp.example/x:1"},
    }
    bodies = render(values)
    assert [port for port in PORTS if may_connect(endpoints(bodies)["audit"], INTERNET, port, bodies)] == [443]


def test_broker_nodes_may_connect_to_each_other() -> None:
    node = Endpoint("rabbitmq", BROKER_LABELS)
    other = Endpoint("another", BROKER_LABELS)
    for port in (4369, 25672, 35672, 35682):
        assert may_connect(node, other, port, case("default"))
        assert not may_connect(SAME_NAMESPACE, node, port, case("default"))
    assert may_connect(PROMETHEUS, node, 15691, case("default"))
    assert not may_connect(PROMETHEUS, node, 15692, case("default"))


@pytest.mark.parametrize("name", ["simple", "default", "keda", "production"])
def test_only_pods_that_resolve_names_may_query_dns(name: str) -> None:
    with_dns = {each for each, end in endpoints(case(name)).items() if may_connect(end, DNS, 53, case(name), "UDP")}
    without_dns = {"provision", "removal", "definition", "postgresql", "sinks"} | (
        {"rabbitmq"} if name == "simple" else set()
    )
    assert with_dns == endpoints(case(name)).keys() - without_dns


def test_external_servers_are_allowed_only_in_the_configured_networks() -> None:
    bodies = case("external")
    found = endpoints(bodies)
    database, broker = Endpoint("database", address="10.2.0.9"), Endpoint("broker", address="10.1.0.9")
    mail, sms = Endpoint("mail", address="192.0.2.9"), Endpoint("sms", address="198.51.100.9")
    for name in SERVICES:
        assert may_connect(found[name], database, 5432, bodies)
        assert may_connect(found[name], broker, 5671, bodies)
        assert not may_connect(found[name], broker, 15671, bodies)
        assert not may_connect(found[name], broker, 5432, bodies)
        assert may_connect(found[name], mail, 587, bodies) == (name == "email")
        assert may_connect(found[name], sms, 8443, bodies) == (name == "sms")
        assert not may_connect(found[name], INTERNET, 443, bodies)
    assert may_connect(found["operator"], broker, 15671, bodies)
    assert not may_connect(found["operator"], database, 15671, bodies)


def test_keda_may_connect_to_the_broker_only_if_it_scales() -> None:
    for name, allowed in (("keda", True), ("hpa", False), ("default", False)):
        assert may_connect(KEDA, endpoints(case(name))["rabbitmq"], 15671, case(name)) == allowed


def test_the_ingress_may_reach_only_the_order_api() -> None:
    bodies = case("production")
    found = endpoints(bodies)
    assert {name for name in SERVICES if may_connect(INGRESS, found[name], 8080, bodies)} == {"order-api"}
    assert not may_connect(INGRESS, found["order-api"], 9464, bodies)
    assert not may_connect(INGRESS, endpoints(case("default"))["order-api"], 8080, case("default"))


def test_an_operator_in_another_namespace_may_reach_the_broker() -> None:
    operator = Endpoint(
        "operator", {"app.kubernetes.io/name": "topology-operator", "app.kubernetes.io/component": "operator"}, "ops"
    )
    assert may_connect(operator, endpoints(case("one-operator"))["rabbitmq"], 15671, case("one-operator"))
    assert not may_connect(operator, endpoints(case("default"))["rabbitmq"], 15671, case("default"))


def test_a_component_may_have_egress_rules_of_its_own() -> None:
    gateway = {"to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}], "ports": [{"protocol": "TCP", "port": 443}]}
    caller = {"podSelector": {"matchLabels": {"app": "x"}}}
    bodies = render({"components": {"payment": {"egress": [gateway]}, "audit": {"calledBy": [caller]}}})
    found = endpoints(bodies)
    assert {name for name in SERVICES if may_connect(found[name], INTERNET, 443, bodies)} == {"payment"}
    assert {name for name in SERVICES if may_connect(SAME_NAMESPACE, found[name], 8080, bodies)} == {"audit"}
