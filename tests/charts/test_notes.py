"""The chart's notes: every URL, and every object that uninstalling leaves."""

import re
from functools import cache

import pytest
import yaml

from services.registry import HTTP_PROCESSES
from tests.charts.rendering import CASES, CHART, NEWEST, Object, case, helm, of_kind, the


@cache
def notes(name: str) -> str:
    # Helm 4 renders notes without a cluster.
    arguments = ("--dry-run=client", "--namespace", "shop", "--values", CASES[name])
    done = helm(NEWEST, "install", "warren", CHART, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("\nNOTES:\n")[2]


@pytest.mark.parametrize("name", CASES)
def test_every_port_in_the_notes_exists(name: str) -> None:
    services = of_kind(case(name), "Service")
    ports = {body["metadata"]["name"]: {each["port"] for each in body["spec"]["ports"]} for body in services}
    if name != "simple" and of_kind(case(name), "RabbitmqCluster"):
        ports["warren-rabbitmq"] = {5671, 15671}
    forwards = re.findall(r"port-forward service/(\S+) \d+:(\d+)", notes(name))
    assert {f"warren-{process}" for process in HTTP_PROCESSES} <= {service for service, _ in forwards}
    assert all(int(port) in ports[service] for service, port in forwards), forwards


@pytest.mark.parametrize("name", CASES)
def test_the_notes_contain_no_template_syntax(name: str) -> None:
    assert "{{" not in notes(name).replace("{{.", "")
    assert "<no value>" not in notes(name)
    assert "%!" not in notes(name)


def test_the_notes_show_the_monitoring_servers_that_are_installed() -> None:
    for server, port in (("grafana", 3000), ("prometheus", 9090), ("jaeger", 16686)):
        command = f"port-forward service/warren-{server} {port}:{port}"
        assert command in notes("observability")
        assert command not in notes("default")


def test_the_notes_show_the_ingress_address() -> None:
    assert "https://orders.example/" in notes("production")


def test_the_notes_name_remaining_objects_and_their_removal() -> None:
    labels = "app.kubernetes.io/instance=warren"
    assert f"delete secret,configmap,persistentvolumeclaim,pod,job --selector {labels}" in notes("simple")
    assert "delete customresourcedefinition topologies.warren.dev" in notes("simple")
    assert "customresourcedefinition" not in notes("one-operator")
    for body in claims("simple"):
        assert body["metadata"]["labels"]["app.kubernetes.io/instance"] == "warren"
    (container,) = the(case("simple"), "Job", "warren-provision")["spec"]["template"]["spec"]["containers"]
    assert f"--label={labels}" in container["args"]


def claims(name: str) -> list[Object]:
    servers = of_kind(case(name), "StatefulSet")
    found = [claim for body in servers for claim in body["spec"].get("volumeClaimTemplates", ())]
    assert len(found) == 2
    return found


@pytest.mark.parametrize("name", ["cert-manager", "cert-manager-issuer", "production"])
def test_the_notes_name_each_secret_of_cert_manager(name: str) -> None:
    (line,) = re.findall(r"delete secret (\S.*)", notes(name))
    assert {body["spec"]["secretName"] for body in of_kind(case(name), "Certificate")} == set(line.split())


@pytest.mark.parametrize("name", CASES)
def test_hook_objects_are_deleted_after_the_hook(name: str) -> None:
    hooks = [body for body in case(name) if "helm.sh/hook" in body["metadata"].get("annotations", {})]
    assert hooks
    for body in hooks:
        policy = body["metadata"]["annotations"]["helm.sh/hook-delete-policy"]
        assert set(policy.split(",")) == {"before-hook-creation", "hook-succeeded"}, yaml.safe_dump(body["metadata"])


def test_the_topology_is_deleted_first_within_helms_timeout() -> None:
    job = the(case("default"), "Job", "warren-removal")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-delete"
    (container,) = job["spec"]["template"]["spec"]["containers"]
    (seconds,) = (int(each.partition("=")[2]) for each in container["args"] if each.startswith("--seconds="))
    assert seconds * (job["spec"]["backoffLimit"] + 1) < 300
    (selector,) = (each.partition("=")[2] for each in container["args"] if each.startswith("--selector="))
    expected = dict(each.split("=") for each in selector.split(","))
    topologies = of_kind(case("default"), "Topology")
    assert topologies
    assert all(expected.items() <= body["metadata"]["labels"].items() for body in topologies)
