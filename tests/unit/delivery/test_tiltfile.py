"""`tilt up`, as far as it can be known without Tilt: the Tiltfile is evaluated with what the real Helm makes of the
chart, and what it asked for is looked at."""

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


@cache
def rendered() -> str:
    command = [str(program(NEWEST)), *HELM[1:]]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout


def evaluated(environment: dict[str, str] | None = None, **arguments: str) -> Tilt:
    def helm(command: list[str]) -> str:
        assert command == HELM
        return rendered()

    tilt = Tilt(ROOT, helm, **arguments)
    tilt.evaluate(TEXT, environment)
    return tilt


@cache
def tilt() -> Tilt:
    return evaluated()


# Where it may run


def test_only_a_cluster_for_trying_out_is_touched() -> None:
    cluster = yaml.safe_load((ROOT / "k8s" / "kind" / "cluster.yaml").read_text())
    assert tilt().settings["contexts"] == [f"kind-{cluster['name']}"]
    assert tilt().settings["version"].startswith(">=")


def test_ports_of_the_cluster_are_open_on_loopback_alone() -> None:
    cluster = yaml.safe_load((ROOT / "k8s" / "kind" / "cluster.yaml").read_text())
    mappings = [mapping for node in cluster["nodes"] for mapping in node.get("extraPortMappings", [])]
    assert {mapping["listenAddress"] for mapping in mappings} == {"127.0.0.1"}
    doors = list(yaml.safe_load_all((ROOT / "k8s" / "kind" / "doors.yaml").read_text()))
    opened = {port["nodePort"] for each in doors if each["kind"] == "Service" for port in each["spec"]["ports"]}
    assert opened == {mapping["containerPort"] for mapping in mappings}
    assert sum(node["role"] == "worker" for node in cluster["nodes"]) == 2


def test_the_values_of_kind_are_values_of_the_chart() -> None:
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
def test_an_image_watches_what_it_is_made_of_and_no_more(image: str) -> None:
    built = tilt().images[f"warren/{image}"]
    stage = stages(ROOT / "Dockerfile")
    target = "service" if built["target"] == "development" else built["target"]
    packages = f"{target}-packages"
    copied = {path.replace("${SERVICE}", image) for path in stage[target].copied + stage[packages].copied}
    assert set(built["only"]) == copied


@pytest.mark.parametrize("service", [name for name in names() if name not in {"operator", "tools"}])
def test_python_code_is_replaced_while_it_runs(service: str) -> None:
    built = tilt().images[f"warren/{service}"]
    fall_back, *synced, restart = built["live"]
    assert fall_back == ["fall_back_on", ["requirements-services.txt"]]
    assert synced == [
        ["sync", "services/shared", "/app/services/shared"],
        ["sync", f"services/{service}", f"/app/services/{service}"],
    ]
    assert restart[0] == "run"
    # What the pod's user may not write cannot be replaced.
    assert built["target"] == "development"
    assert built["arguments"]["SERVICE"] == service


def test_the_base_can_be_chosen_and_an_authority_is_a_secret() -> None:
    asked = evaluated({"PIP_CERT": "/etc/authority.crt"}, base="warren/base:trixie")
    assert {image["arguments"]["BASE"] for image in asked.images.values()} == {"warren/base:trixie"}
    assert all(image["secret"] == ["id=ca,src=/etc/authority.crt"] for image in asked.images.values())
    assert all(image["secret"] == [] for image in tilt().images.values())
    assert {image["arguments"]["BASE"] for image in tilt().images.values()} == {"debian:trixie-slim"}


# The chart


def found(kind: str) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in tilt().objects if each["kind"] == kind}


def test_what_belongs_to_another_moment_is_not_applied() -> None:
    assert {name.split("-")[1] for name in found("Job")} == {"migrations", "provision"}
    assert found("Pod") == {}
    assert set(found("Namespace")) == {"warren"}


@pytest.mark.parametrize("name", list(PROCESSES))
def test_a_service_is_started_so_that_it_can_be_started_again(name: str) -> None:
    pod = found("Deployment")[f"warren-{name}"]["spec"]["template"]["spec"]
    (service,) = pod["containers"]
    shell, option, script, pid, program_ = service["command"]
    assert [shell, option, program_] == ["sh", "-c", "run"]
    # The same file as the live update reads.
    assert tilt().images["warren/order"]["live"][-1] == ["run", f'kill "$(cat {pid})"']
    assert script == (ROOT / "k8s" / "tilt" / "reload.sh").read_text()
    assert service.get("args", []) == list(PROCESSES[name][1:])
    assert service["securityContext"]["readOnlyRootFilesystem"] is False
    assert service["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    (first,) = pod["initContainers"]
    assert first["securityContext"]["readOnlyRootFilesystem"] is True
    assert first["command"][:2] == ["python", "-m"]


def test_what_is_no_service_stays_as_the_chart_has_it() -> None:
    pod = found("Deployment")["warren-sinks"]["spec"]["template"]["spec"]
    assert all(each["securityContext"]["readOnlyRootFilesystem"] for each in pod["containers"])


def test_a_change_of_the_chart_is_noticed() -> None:
    assert tilt().watched == ["charts/warren", "k8s/kind/values.yaml"]


# Resources

SETUP = {"definitions", "provision", "migrations", "topology-operator", "topology"}
SERVERS = {"rabbitmq", "postgresql", "sinks"}


def test_everything_is_in_a_group() -> None:
    groups: dict[str, set[str]] = {}
    for name, resource in (tilt().resources | tilt().buttons).items():
        (label,) = resource["labels"]
        groups.setdefault(label, set()).add(name)
    assert groups == {
        "setup": SETUP,
        "servers": SERVERS,
        "services": set(PROCESSES),
        "try": set(tilt().buttons),
    }


def test_a_resource_is_of_something_that_exists() -> None:
    workloads = set(found("Deployment")) | set(found("Job")) | set(found("StatefulSet"))
    for resource in tilt().resources.values():
        assert bool(resource["workload"]) != bool(resource["objects"])
        assert not resource["workload"] or resource["workload"] in workloads
    assert tilt().resources["definitions"]["objects"] == ["topologies.warren.dev:customresourcedefinition"]
    assert tilt().resources["topology"]["objects"] == [f"{name}:topology" for name in found("Topology")]
    assert len(found("Topology")) == len(set(names()) - {"operator", "tools"}) + 1
    named = {each["workload"] for each in tilt().resources.values()}
    assert workloads <= named


def order() -> list[str]:
    """Everything, each after what it waits for. Ends in an error where two wait for each other."""
    waiting = {name: set(each["after"]) for name, each in (tilt().resources | tilt().buttons).items()}
    started: list[str] = []
    while waiting:
        free = sorted(name for name, after in waiting.items() if after <= set(started))
        assert free, waiting
        started += free
        waiting = {name: after for name, after in waiting.items() if name not in free}
    return started


def test_everything_comes_after_what_it_needs() -> None:
    place = order().index
    assert place("provision") < place("rabbitmq") < place("topology") < place("payment")
    assert place("definitions") < place("topology-operator") < place("topology")
    assert place("postgresql") < place("migrations") < place("payment") < place("place orders")


def test_a_changed_service_does_not_run_the_jobs_again() -> None:
    manual = {name for name, resource in tilt().resources.items() if resource["trigger"] == "manual"}
    assert manual == {"provision", "migrations", "sinks"}


# What can be opened and pressed


def test_no_two_things_want_one_port() -> None:
    ports = [forward["local"] for resource in tilt().resources.values() for forward in resource["forwards"]]
    assert len(ports) == len(set(ports))


def test_every_link_leads_to_a_port_that_is_forwarded() -> None:
    links = {name: [link["url"] for link in each["links"]] for name, each in tilt().resources.items() if each["links"]}
    assert links == {
        "order-api": ["http://localhost:8080/orders", "http://localhost:8080/schema/openapi.json"],
        "inventory": ["http://localhost:8081/stock"],
        "audit": ["http://localhost:8082/audit/events"],
        "rabbitmq": ["https://localhost:15671/#/queues"],
        "sinks": ["https://localhost:8025/messages"],
    }
    for name, urls in links.items():
        forwarded = {forward["local"] for forward in tilt().resources[name]["forwards"]}
        assert {int(url.split(":")[2].split("/")[0]) for url in urls} <= forwarded
    assert all(link["name"] for each in tilt().resources.values() for link in each["links"])


@pytest.mark.parametrize("name", list(PROCESSES))
def test_every_service_shows_its_metrics(name: str) -> None:
    forwards = tilt().resources[name]["forwards"]
    assert [forward["container"] for forward in forwards if forward["path"] == "/metrics"] == [9464]


def test_buttons_do_nothing_until_they_are_pressed() -> None:
    assert set(tilt().buttons) == {"place orders", "load", "a token for gayal", "the broker's password"}
    for button in tilt().buttons.values():
        assert button["trigger"] == "manual"
        assert button["alone"] is False


@pytest.mark.parametrize("name", ["place orders", "load"])
def test_a_button_starts_a_program_that_there_is(name: str) -> None:
    words = shlex.split(tilt().buttons[name]["command"])
    module = words[words.index("-m") + 1]
    assert (ROOT / f"{module.replace('.', '/')}.py").is_file()
    # Secrets are written where nobody else reads and git does not look.
    assert words[:2] == ["umask", "077"]
    assert ".warren/" in words[words.index(">") + 1]


def test_a_misspelt_word_is_an_error() -> None:
    with pytest.raises(starlark.StarlarkError):
        Tilt(ROOT, lambda _: "").evaluate('k8s_resource("order", port_forward = [8080])')
