"""compose.yaml: containers are restricted, mount only their own secrets, and publish ports on loopback only."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from devtools import service_blocks
from devtools.images.__main__ import names
from services.registry import HTTP_PROCESSES, PROCESSES, SERVICES
from warren.provision.manifest import read_manifest

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
ALL: dict[str, Any] = COMPOSE["services"]
SERVERS = {"rabbitmq", "postgres"}
MONITORING = {"prometheus": "65534:65534", "grafana": "472:999", "collector": "10001:10001", "jaeger": "10001:10001"}
MONITORING["postgres-exporter"] = "65534:999"
"""Containers of the profile `observability`, and the user of each image; group 999 may read passwords."""
OURS = sorted(set(ALL) - SERVERS - MONITORING.keys())
DATA = {"rabbitmq", "postgres", "prometheus"}
SECRETS = set(COMPOSE["volumes"]) - DATA
SETUP = {"setup", "migrations", "topology"}
"""Containers that create the secrets or need all of them."""
BY_HAND = {"smoke", "token"}
OUTSIDE = {"rabbitmq", "sinks", "order-api", "email", "sms", "prometheus", "grafana", "jaeger"}
"""Containers with a published port or outside calls."""
TOPOLOGIES = [yaml.safe_load(file.read_text()) for file in (ROOT / "charts" / "warren" / "topology").glob("*.yaml")]
USERS = {user["secretName"] for each in TOPOLOGIES for user in each.get("spec", {}).get("users", {}).values()}


def mounts(name: str) -> dict[str, tuple[str, bool]]:
    """By target: the source, and whether it is writable."""
    found = {}
    for each in ALL[name].get("volumes", []):
        source, target, *mode = each.split(":")
        found[target] = (source, mode != ["ro"])
    return found


def secrets(name: str) -> set[str]:
    return {source for source, _ in mounts(name).values() if source in SECRETS}


@pytest.mark.parametrize("file", service_blocks.renewed(), ids=lambda file: file.name)
def test_a_list_of_services_is_what_make_services_writes(file: Path) -> None:
    assert file.read_text() == service_blocks.renewed()[file], "run `make services`"


def test_compose_has_every_process() -> None:
    assert set(PROCESSES) <= set(ALL)
    assert set(ALL) - set(PROCESSES) == SERVERS | SETUP | BY_HAND | {"sinks"} | MONITORING.keys()


@pytest.mark.parametrize("name", sorted(PROCESSES))
def test_a_process_starts_with_the_standard_command(name: str) -> None:
    module, *arguments = PROCESSES[name]
    assert ALL[name]["image"] == f"${{WARREN_IMAGES:-warren}}/{module.removeprefix('services.')}:${{WARREN_TAG:-dev}}"
    assert ALL[name].get("command", []) == arguments


def test_compose_uses_the_built_images() -> None:
    used = {re.sub(r"^\$\{WARREN_IMAGES:-warren\}/(\w+):.*", r"\1", ALL[name]["image"]) for name in OURS}
    # The operator is for Kubernetes; compose runs the engine once.
    assert used == set(names()) - {"operator"}


def test_every_service_has_an_image() -> None:
    folders = {file.parent.name for file in (ROOT / "services").glob("*/app.py")}
    assert names() == [*dict.fromkeys(names())]
    assert set(names()) == folders | {"operator", "tools"}


@pytest.mark.parametrize("name", sorted(ALL))
def test_a_container_has_no_write_access_and_no_capabilities(name: str) -> None:
    it = ALL[name]
    assert it["read_only"] is True
    assert it["cap_drop"] == ["ALL"]
    assert it["security_opt"] == ["no-new-privileges:true"]
    assert it.get("privileged", False) is False
    # It sets the owner of the volumes before other containers start.
    assert it.get("cap_add", []) == (["CHOWN", "SETUID", "SETGID"] if name == "setup" else [])
    # The project's images set the user themselves.
    others = MONITORING | {"setup": "0:0"}
    assert it.get("user") == ("999:999" if name in SERVERS else others.get(name))


@pytest.mark.parametrize("name", sorted(ALL))
def test_a_container_has_resource_limits(name: str) -> None:
    it = ALL[name]
    assert re.fullmatch(r"256m|512m|1g|2g", it["mem_limit"])
    assert 0 < it["pids_limit"] <= 1000
    assert it["logging"]["options"].keys() == {"max-size", "max-file"}


@pytest.mark.parametrize("name", sorted(ALL))
def test_only_named_containers_are_in_the_outside_network(name: str) -> None:
    it = ALL[name]
    if name in {"setup", "token"}:
        assert it["network_mode"] == "none"
    else:
        assert it["networks"] == (["inside", "outside"] if name in OUTSIDE else ["inside"])
    assert COMPOSE["networks"]["inside"] == {"internal": True}


@pytest.mark.parametrize("name", sorted(SERVERS | {"sinks", "prometheus", "postgres-exporter", "grafana"}))
def test_containers_without_a_health_check_in_the_image_have_one(name: str) -> None:
    assert {"test", "interval", "timeout", "start_period"} == ALL[name]["healthcheck"].keys()


@pytest.mark.parametrize("name", ["migrations", "topology"])
def test_a_failed_setup_job_is_not_restarted(name: str) -> None:
    assert ALL[name]["restart"] == "on-failure:5"


@pytest.mark.parametrize("name", sorted(PROCESSES))
def test_a_service_mounts_only_its_own_secrets_read_only(name: str) -> None:
    (entry,) = (each for each in SERVICES if name in (each.processes or [each.name]))
    own = {"trust", f"{entry.name}-postgres", f"{entry.name}-rabbitmq"}
    own |= {f"{schema}-postgres" for schema in entry.own_schemas}
    if name in HTTP_PROCESSES:
        own.add("token-key")
    assert secrets(name) == own
    assert not any(writable for _, writable in mounts(name).values())


MONITORING_SECRETS: list[tuple[str, set[str]]] = [
    ("prometheus", {"trust"}),
    ("grafana", {"grafana-admin"}),
    ("postgres-exporter", {"trust", "monitoring-postgres"}),
    ("collector", set()),
    ("jaeger", set()),
]
TOKEN_KEY = [(name, {"token-key"}) for name in sorted(BY_HAND)]


@pytest.mark.parametrize(("name", "own"), [("sinks", {"sinks-tls"}), *MONITORING_SECRETS, *TOKEN_KEY])
def test_other_containers_mount_only_their_own_secrets(name: str, own: set[str]) -> None:
    assert secrets(name) == own
    assert not any(writable for source, writable in mounts(name).values() if source not in DATA)


@pytest.mark.parametrize("name", sorted(SERVERS))
def test_a_server_mounts_only_its_certificate_and_password(name: str) -> None:
    assert secrets(name) == {f"{name}-tls", f"{name}-admin"}


def test_only_the_creator_of_a_secret_may_write_it() -> None:
    def written(name: str) -> set[str]:
        return {source for source, writable in mounts(name).values() if writable and source in SECRETS}

    assert written("setup") == SECRETS
    assert written("topology") == USERS
    assert not any(written(name) for name in set(ALL) - {"setup", "topology"})


def test_every_secret_volume_is_created_and_used() -> None:
    manifest = read_manifest(ROOT / "devtools" / "compose" / "secrets.yaml")
    made = {manifest.authority, manifest.bundle, *manifest.certificates, *manifest.passwords}
    assert made | USERS == SECRETS


def test_secret_paths_are_those_of_the_tools() -> None:
    for name in SETUP:
        assert all(target == f"/secrets/{source}" for target, (source, _) in mounts(name).items() if source in SECRETS)


@pytest.mark.parametrize("name", sorted(ALL))
def test_ports_are_published_on_loopback_only(name: str) -> None:
    for port in ALL[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:(\d+|\$\{WARREN_PORT:-8080\}):\d+", port)


def test_no_password_is_in_the_file_or_a_variable() -> None:
    for name, it in ALL.items():
        for key, value in it.get("environment", {}).items():
            assert not re.search(r"PASSWORD|SECRET|TOKEN|KEY", key) or key.endswith("_FILE"), f"{name}: {key}"
            assert not re.search(r"://[^/@]*:[^/@]*@", str(value)), f"{name}: {key}"


@pytest.mark.parametrize("name", sorted(PROCESSES))
def test_a_service_starts_after_migrations_and_topology(name: str) -> None:
    wanted = {"condition": "service_completed_successfully"}
    assert ALL[name]["depends_on"] == {"migrations": wanted, "topology": wanted}
    assert ALL[name]["restart"] == "unless-stopped"


def test_every_dependency_exists() -> None:
    for name, it in ALL.items():
        assert set(it.get("depends_on", {})) <= set(ALL), name
    named = {source for name in ALL for source, _ in mounts(name).values() if source[0] != "."}
    assert named == SECRETS | DATA


def test_mounted_files_exist() -> None:
    sources = {source for name in ALL for source, _ in mounts(name).values() if source.startswith("./")}
    folders = {"./charts/warren/rules", "./charts/warren/dashboards"}
    assert folders <= sources
    assert len(sources - folders) == 9
    assert all((ROOT / source).is_file() for source in sources - folders)


# The profile `observability`


def test_the_profile_has_the_monitoring_servers_and_turns_tracing_on() -> None:
    assert {name for name, it in ALL.items() if it.get("profiles") == ["observability"]} == MONITORING.keys()
    for name in PROCESSES:
        # Empty, so that nothing is traced, unless the variable names a profile.
        endpoint = ALL[name]["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"]
        assert endpoint == "${COMPOSE_PROFILES:+http://collector:4318}"
    (receiver,) = OBSERVABILITY["collector.yaml"]["receivers"]["otlp"]["protocols"].values()
    assert receiver["endpoint"].endswith(":4318")


FOLDER = ROOT / "charts" / "warren" / "observability"
OBSERVABILITY: dict[str, dict[str, Any]] = {
    file.name: yaml.safe_load(file.read_text()) for file in FOLDER.glob("*.yaml")
}


def test_images_are_those_of_the_chart() -> None:
    values = yaml.safe_load((ROOT / "charts" / "warren" / "values.yaml").read_text())["observability"]
    for name in MONITORING:
        head, *words = name.split("-")
        image = values[head + "".join(map(str.capitalize, words))]["image"]
        assert ALL[name]["image"] == f"${{{name.upper().replace('-', '_')}_IMAGE:-{image}}}"


def test_prometheus_scrapes_every_process_and_the_broker() -> None:
    configuration = yaml.safe_load((ROOT / "devtools" / "compose" / "prometheus.yaml").read_text())
    jobs = {job["job_name"]: job for job in configuration["scrape_configs"]}
    (discovery,) = jobs["warren"]["dns_sd_configs"]
    assert discovery["names"] == list(PROCESSES)
    authority = mounts("prometheus")["/run/warren/trust"]
    assert authority == ("trust", False)
    broker = (ROOT / "devtools" / "compose" / "rabbitmq.conf").read_text()
    for name in ("rabbitmq", "rabbitmq-detailed"):
        (static,) = jobs[name]["static_configs"]
        host, _, port = static["targets"][0].partition(":")
        assert (jobs[name]["scheme"], host) == ("https", "rabbitmq")
        assert f"prometheus.ssl.port = {port}\n" in broker
        assert jobs[name]["tls_config"] == {"ca_file": "/run/warren/trust/ca.crt"}
    assert all(host in ALL for host in discovery["names"])


def test_addresses_of_the_monitoring_servers_are_containers_and_their_ports() -> None:
    jaeger = OBSERVABILITY["jaeger.yaml"]
    ports = {"prometheus": "9090", "jaeger": jaeger["extensions"]["jaeger_query"]["http"]["endpoint"].partition(":")[2]}
    for variable, url in ALL["grafana"]["environment"].items():
        name = variable.removesuffix("_URL").lower()
        assert url == f"http://{name}:{ports[name]}"
    receiver = jaeger["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"]
    assert ALL["collector"]["environment"] == {"JAEGER_OTLP": f"jaeger:{receiver.partition(':')[2]}"}
