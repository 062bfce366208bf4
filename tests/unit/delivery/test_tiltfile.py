"""`tilt up` without Tilt: evaluates the Tiltfile with the chart rendered by the real Helm and checks its calls."""

import shlex
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import starlark
import yaml

from devtools.images.__main__ import names
from services.registry import PROCESSES
from tests.charts.helm import program
from tests.charts.rendering import NEWEST
from tests.unit.delivery.dockerfile import stages
from tests.unit.delivery.tilt import Tilt

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "Tiltfile").read_text()
HELM = shlex.split("helm template warren charts/warren --namespace warren --values k8s/kind/values.yaml --include-crds")
TRACED = shlex.split("--set observability.enabled=true --set observability.tracing.ratio=1")


@cache
def rendered(*options: str) -> str:
    command = [str(program(NEWEST)), *HELM[1:], *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout


def evaluated(environment: dict[str, str] | None = None, **arguments: str | bool) -> Tilt:
    def helm(command: list[str]) -> str:
        options = TRACED if arguments.get("observability", True) else []
        assert command == HELM + options
        return rendered(*options)

    tilt = Tilt(ROOT, helm, **arguments)
    tilt.evaluate(TEXT, environment)
    return tilt


@cache
def tilt() -> Tilt:
    return evaluated()


# Clusters


def test_only_local_clusters_are_allowed() -> None:
    cluster = yaml.safe_load((ROOT / "k8s" / "kind" / "cluster.yaml").read_text())
    assert tilt().settings["contexts"] == [f"kind-{cluster['name']}"]
    assert tilt().settings["version"].startswith(">=")


def test_cluster_ports_are_open_on_loopback_only() -> None:
    cluster = yaml.safe_load((ROOT / "k8s" / "kind" / "cluster.yaml").read_text())
    mappings = [mapping for node in cluster["nodes"] for mapping in node.get("extraPortMappings", [])]
    assert {mapping["listenAddress"] for mapping in mappings} == {"127.0.0.1"}
    services = list(yaml.safe_load_all((ROOT / "k8s" / "kind" / "node-ports.yaml").read_text()))
    opened = {port["nodePort"] for each in services if each["kind"] == "Service" for port in each["spec"]["ports"]}
    assert opened == {mapping["containerPort"] for mapping in mappings}
    assert sum(node["role"] == "worker" for node in cluster["nodes"]) == 2


def test_the_kind_values_exist_in_the_chart() -> None:
    def known(values: dict[str, Any], chart: dict[str, Any], where: str = "") -> None:
        for key, value in values.items():
            assert key in chart, f"{where}{key}"
            if isinstance(value, dict) and key not in {"requests", "limits"}:
                known(value, chart[key], f"{where}{key}.")

    chart = yaml.safe_load((ROOT / "charts" / "warren" / "values.yaml").read_text())
    operator = ROOT / "charts" / "warren" / "charts" / "topology-operator" / "values.yaml"
    chart["topology-operator"] = yaml.safe_load(operator.read_text())
    known(yaml.safe_load((ROOT / "k8s" / "kind" / "values.yaml").read_text()), chart)


# Images


def test_every_image_is_built() -> None:
    assert set(tilt().images) == {f"warren/{name}" for name in names()}
    targets = stages(ROOT / "Dockerfile")
    assert all(image["target"] in targets for image in tilt().images.values())


@pytest.mark.parametrize("image", names())
def test_an_image_watches_exactly_its_sources(image: str) -> None:
    built = tilt().images[f"warren/{image}"]
    stage = stages(ROOT / "Dockerfile")
    target = "service" if built["target"] == "development" else built["target"]
    packages = f"{target}-packages"
    copied = {path.replace("${SERVICE}", image) for path in stage[target].copied + stage[packages].copied}
    assert set(built["only"]) == copied


@pytest.mark.parametrize("service", [name for name in names() if name not in {"operator", "tools"}])
def test_python_code_is_updated_live(service: str) -> None:
    built = tilt().images[f"warren/{service}"]
    fall_back, *synced, restart = built["live"]
    assert fall_back == ["fall_back_on", ["requirements-services.txt"]]
    assert synced == [
        ["sync", "services/shared", "/app/services/shared"],
        ["sync", f"services/{service}", f"/app/services/{service}"],
    ]
    assert restart[0] == "run"
    # The live update needs files that the pod's user may write.
    assert built["target"] == "development"
    assert built["arguments"]["SERVICE"] == service


def test_the_base_is_an_option_and_the_authority_a_secret() -> None:
    asked = evaluated({"PIP_CERT": "/etc/authority.crt"}, base="warren/base:trixie")
    assert {image["arguments"]["BASE"] for image in asked.images.values()} == {"warren/base:trixie"}
    assert all(image["secret"] == ["id=ca,src=/etc/authority.crt"] for image in asked.images.values())
    assert all(image["secret"] == [] for image in tilt().images.values())
    assert {image["arguments"]["BASE"] for image in tilt().images.values()} == {"debian:trixie-slim"}


# The chart


def found(kind: str) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in tilt().objects if each["kind"] == kind}


def test_hook_objects_of_other_phases_are_not_applied() -> None:
    assert {name.split("-")[1] for name in found("Job")} == {"migrations", "provision"}
    assert found("Pod") == {}
    assert set(found("Namespace")) == {"warren"}


@pytest.mark.parametrize("name", list(PROCESSES))
def test_a_service_starts_through_the_reload_script(name: str) -> None:
    pod = found("Deployment")[f"warren-{name}"]["spec"]["template"]["spec"]
    (service,) = pod["containers"]
    shell, option, script, pid, program_ = service["command"]
    assert [shell, option, program_] == ["sh", "-c", "run"]
    # The live update reads the same file.
    assert tilt().images["warren/order"]["live"][-1] == ["run", f'kill "$(cat {pid})"']
    assert script == (ROOT / "k8s" / "tilt" / "reload.sh").read_text()
    assert service.get("args", []) == list(PROCESSES[name][1:])
    assert service["securityContext"]["readOnlyRootFilesystem"] is False
    assert service["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    (first,) = pod["initContainers"]
    assert first["securityContext"]["readOnlyRootFilesystem"] is True
    assert first["command"][:2] == ["python", "-m"]


def test_other_objects_stay_as_in_the_chart() -> None:
    pod = found("Deployment")["warren-sinks"]["spec"]["template"]["spec"]
    assert all(each["securityContext"]["readOnlyRootFilesystem"] for each in pod["containers"])


def test_the_chart_is_watched() -> None:
    assert tilt().watched == ["charts/warren", "k8s/kind/values.yaml"]


# Resources

SETUP = {"definitions", "provision", "migrations", "topology-operator", "topology"}
SERVERS = {"rabbitmq", "postgresql", "sinks"}
MONITORING = {"prometheus", "postgres-exporter", "grafana", "collector", "jaeger"}


def test_every_resource_has_a_group() -> None:
    groups: dict[str, set[str]] = {}
    for name, resource in (tilt().resources | tilt().buttons).items():
        (label,) = resource["labels"]
        groups.setdefault(label, set()).add(name)
    assert groups == {
        "setup": SETUP,
        "servers": SERVERS,
        "observability": MONITORING,
        "services": set(PROCESSES),
        "try": set(tilt().buttons),
    }


def test_every_resource_names_an_existing_object() -> None:
    workloads = set(found("Deployment")) | set(found("Job")) | set(found("StatefulSet"))
    for resource in tilt().resources.values():
        assert bool(resource["workload"]) != bool(resource["objects"])
        assert not resource["workload"] or resource["workload"] in workloads
    assert tilt().resources["definitions"]["objects"] == ["topologies.warren.dev:customresourcedefinition"]
    assert tilt().resources["topology"]["objects"] == [f"{name}:topology" for name in found("Topology")]
    assert len(found("Topology")) == len(set(names()) - {"operator", "tools"}) + 1
    named = {each["workload"] for each in tilt().resources.values()}
    assert workloads <= named


def test_a_cluster_that_cannot_pull_images_runs_without_the_monitoring_servers() -> None:
    without = evaluated(observability=False)
    assert not MONITORING & without.resources.keys()
    assert without.resources.keys() | MONITORING == tilt().resources.keys()


def order() -> list[str]:
    """The resources in order of their dependencies. Raises an error for a cycle."""
    waiting = {name: set(each["after"]) for name, each in (tilt().resources | tilt().buttons).items()}
    started: list[str] = []
    while waiting:
        free = sorted(name for name, after in waiting.items() if after <= set(started))
        assert free, waiting
        started += free
        waiting = {name: after for name, after in waiting.items() if name not in free}
    return started


def test_resources_start_after_their_dependencies() -> None:
    place = order().index
    assert place("provision") < place("rabbitmq") < place("topology") < place("payment")
    assert place("definitions") < place("topology-operator") < place("topology")
    assert place("postgresql") < place("migrations") < place("payment") < place("place orders")


def test_a_changed_service_does_not_rerun_the_jobs() -> None:
    manual = {name for name, resource in tilt().resources.items() if resource["trigger"] == "manual"}
    assert manual == {"provision", "migrations", "sinks"}


# Links and buttons


def test_forwarded_ports_are_unique() -> None:
    ports = [forward["local"] for resource in tilt().resources.values() for forward in resource["forwards"]]
    assert len(ports) == len(set(ports))


def test_every_link_uses_a_forwarded_port() -> None:
    links = {name: [link["url"] for link in each["links"]] for name, each in tilt().resources.items() if each["links"]}
    assert links == {
        "order-api": ["http://localhost:8080/orders", "http://localhost:8080/schema/openapi.json"],
        "inventory": ["http://localhost:8081/stock"],
        "audit": ["http://localhost:8082/audit/events"],
        "rabbitmq": ["https://localhost:15671/#/queues"],
        "sinks": ["https://localhost:8025/messages"],
        "grafana": ["http://localhost:3000/dashboards", "http://localhost:3000/explore"],
        "prometheus": [f"http://localhost:9090/{page}" for page in ("alerts", "targets", "query")],
        "jaeger": ["http://localhost:16686/search"],
    }
    for name, urls in links.items():
        forwarded = {forward["local"] for forward in tilt().resources[name]["forwards"]}
        assert {int(url.split(":")[2].split("/")[0]) for url in urls} <= forwarded
    assert all(link["name"] for each in tilt().resources.values() for link in each["links"])


@pytest.mark.parametrize("name", list(PROCESSES))
def test_every_service_has_a_metrics_link(name: str) -> None:
    forwards = tilt().resources[name]["forwards"]
    assert [forward["container"] for forward in forwards if forward["path"] == "/metrics"] == [9464]


def test_buttons_run_only_on_request() -> None:
    assert set(tilt().buttons) == {"place orders", "load", "a token for gayal", "the broker's password"}
    for button in tilt().buttons.values():
        assert button["trigger"] == "manual"
        assert button["alone"] is False


@pytest.mark.parametrize("name", ["place orders", "load"])
def test_every_button_runs_an_existing_program(name: str) -> None:
    words = shlex.split(tilt().buttons[name]["command"])
    module = words[words.index("-m") + 1]
    assert (ROOT / f"{module.replace('.', '/')}.py").is_file()
    # Secrets are written with a private mode and outside of git.
    assert words[:2] == ["umask", "077"]
    assert ".warren/" in words[words.index(">") + 1]


def test_an_unknown_argument_is_an_error() -> None:
    with pytest.raises(starlark.StarlarkError):
        Tilt(ROOT, lambda _: "").evaluate('k8s_resource("order", port_forward = [8080])')
