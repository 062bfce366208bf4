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
OURS = sorted(set(ALL) - SERVERS)
DATA = {"rabbitmq", "postgres"}
SECRETS = set(COMPOSE["volumes"]) - DATA
SETUP = {"setup", "migrations", "topology"}
"""Containers that create the secrets or need all of them."""
BY_HAND = {"smoke", "token"}
OUTSIDE = {"rabbitmq", "sinks", "order-api", "email", "sms"}
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
    assert set(ALL) - set(PROCESSES) == SERVERS | SETUP | BY_HAND | {"sinks"}


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
    assert it.get("user") == ("0:0" if name == "setup" else "999:999" if name in SERVERS else None)


@pytest.mark.parametrize("name", sorted(ALL))
def test_a_container_has_resource_limits(name: str) -> None:
    it = ALL[name]
    assert re.fullmatch(r"256m|1g|2g", it["mem_limit"])
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


@pytest.mark.parametrize("name", sorted(SERVERS | {"sinks"}))
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


TOKEN_KEY = [(name, {"token-key"}) for name in sorted(BY_HAND)]


@pytest.mark.parametrize(("name", "own"), [("sinks", {"sinks-tls"}), *TOKEN_KEY])
def test_other_containers_mount_only_their_own_secrets(name: str, own: set[str]) -> None:
    assert secrets(name) == own
    assert not any(writable for _, writable in mounts(name).values())


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
    assert len(sources) == 3
    assert all((ROOT / source).is_file() for source in sources)
