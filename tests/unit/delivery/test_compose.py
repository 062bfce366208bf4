"""compose.yaml: every container shut in, with its own secrets and nobody else's, and no door but on loopback."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from devtools.images.__main__ import names
from services.registry import HTTP_PROCESSES, PROCESSES, SERVICES
from warren.provision.wishes import read

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
ALL: dict[str, Any] = COMPOSE["services"]
SERVERS = {"rabbitmq", "postgres"}
OURS = sorted(set(ALL) - SERVERS)
DATA = {"rabbitmq", "postgres"}
SECRETS = set(COMPOSE["volumes"]) - DATA
SETUP = {"setup", "migrations", "topology"}
"""What makes the secrets, and what needs those of everybody."""
BY_HAND = {"smoke", "token"}
OUTSIDE = {"rabbitmq", "sinks", "order-api", "email", "sms"}
"""What has a door to the host, or calls somebody."""
TOPOLOGIES = [yaml.safe_load(file.read_text()) for file in (ROOT / "charts" / "warren" / "topology").glob("*.yaml")]
USERS = {user["secretName"] for each in TOPOLOGIES for user in each.get("spec", {}).get("users", {}).values()}


def mounts(name: str) -> dict[str, tuple[str, bool]]:
    """Target to source and whether it may be written."""
    found = {}
    for each in ALL[name].get("volumes", []):
        source, target, *mode = each.split(":")
        found[target] = (source, mode != ["ro"])
    return found


def secrets(name: str) -> set[str]:
    return {source for source, _ in mounts(name).values() if source in SECRETS}


def test_every_process_of_the_system_is_there() -> None:
    assert set(PROCESSES) <= set(ALL)
    assert set(ALL) - set(PROCESSES) == SERVERS | SETUP | BY_HAND | {"sinks"}


@pytest.mark.parametrize("name", sorted(PROCESSES))
def test_a_process_is_started_as_everywhere(name: str) -> None:
    module, *arguments = PROCESSES[name]
    assert ALL[name]["image"] == f"${{WARREN_IMAGES:-warren}}/{module.removeprefix('services.')}:${{WARREN_TAG:-dev}}"
    assert ALL[name].get("command", []) == arguments


def test_images_are_those_that_are_built() -> None:
    used = {re.sub(r"^\$\{WARREN_IMAGES:-warren\}/(\w+):.*", r"\1", ALL[name]["image"]) for name in OURS}
    # The operator is for Kubernetes; here the same engine is run once.
    assert used == set(names()) - {"operator"}


def test_there_is_an_image_for_each_service_and_no_other() -> None:
    folders = {file.parent.name for file in (ROOT / "services").glob("*/app.py")}
    assert names() == [*dict.fromkeys(names())]
    assert set(names()) == folders | {"operator", "tools"}


@pytest.mark.parametrize("name", sorted(ALL))
def test_it_can_write_nothing_and_do_nothing_that_it_need_not(name: str) -> None:
    it = ALL[name]
    assert it["read_only"] is True
    assert it["cap_drop"] == ["ALL"]
    assert it["security_opt"] == ["no-new-privileges:true"]
    assert it.get("privileged", False) is False
    # It makes the volumes' owner right, before anything else runs.
    assert it.get("cap_add", []) == (["CHOWN", "SETUID", "SETGID"] if name == "setup" else [])
    # Of an image of ours, the user is its own.
    assert it.get("user") == ("0:0" if name == "setup" else "999:999" if name in SERVERS else None)


@pytest.mark.parametrize("name", sorted(ALL))
def test_it_cannot_take_all_of_the_host(name: str) -> None:
    it = ALL[name]
    assert re.fullmatch(r"256m|1g|2g", it["mem_limit"])
    assert 0 < it["pids_limit"] <= 1000
    assert it["logging"]["options"].keys() == {"max-size", "max-file"}


@pytest.mark.parametrize("name", sorted(ALL))
def test_only_what_has_a_reason_to_reaches_the_outside(name: str) -> None:
    it = ALL[name]
    if name in {"setup", "token"}:
        assert it["network_mode"] == "none"
    else:
        assert it["networks"] == (["inside", "outside"] if name in OUTSIDE else ["inside"])
    assert COMPOSE["networks"]["inside"] == {"internal": True}


@pytest.mark.parametrize("name", sorted(SERVERS | {"sinks"}))
def test_what_brings_no_health_check_in_its_image_gets_one(name: str) -> None:
    assert {"test", "interval", "timeout", "start_period"} == ALL[name]["healthcheck"].keys()


@pytest.mark.parametrize("name", ["migrations", "topology"])
def test_what_fails_for_good_ends_so_that_up_can_say_it(name: str) -> None:
    assert ALL[name]["restart"] == "on-failure:5"


@pytest.mark.parametrize("name", sorted(PROCESSES))
def test_a_service_mounts_its_own_secrets_to_read_and_no_other(name: str) -> None:
    (entry,) = (each for each in SERVICES if name in (each.processes or [each.name]))
    own = {"trust", f"{entry.name}-postgres", f"{entry.name}-rabbitmq"}
    own |= {f"{schema}-postgres" for schema in entry.own_schemas}
    if name in HTTP_PROCESSES:
        own.add("token-key")
    assert secrets(name) == own
    assert not any(writable for _, writable in mounts(name).values())


TOKEN_KEY = [(name, {"token-key"}) for name in sorted(BY_HAND)]


@pytest.mark.parametrize(("name", "own"), [("sinks", {"sinks-tls"}), *TOKEN_KEY])
def test_so_do_the_others(name: str, own: set[str]) -> None:
    assert secrets(name) == own
    assert not any(writable for _, writable in mounts(name).values())


@pytest.mark.parametrize("name", sorted(SERVERS))
def test_a_server_gets_its_certificate_and_its_administrator_and_no_other_secret(name: str) -> None:
    assert secrets(name) == {f"{name}-tls", f"{name}-admin"}


def test_only_what_makes_a_secret_may_write_it() -> None:
    def written(name: str) -> set[str]:
        return {source for source, writable in mounts(name).values() if writable and source in SECRETS}

    assert written("setup") == SECRETS
    assert written("topology") == USERS
    assert not any(written(name) for name in set(ALL) - {"setup", "topology"})


def test_every_secret_is_made_by_somebody_and_no_volume_is_left_over() -> None:
    wishes = read(ROOT / "devtools" / "compose" / "wishes.yaml")
    made = {wishes.authority, wishes.bundle, *wishes.certificates, *wishes.passwords}
    assert made | USERS == SECRETS


def test_a_secret_lies_where_the_tools_look_for_it() -> None:
    for name in SETUP:
        assert all(target == f"/secrets/{source}" for target, (source, _) in mounts(name).items() if source in SECRETS)


@pytest.mark.parametrize("name", sorted(ALL))
def test_ports_are_open_on_loopback_alone(name: str) -> None:
    for port in ALL[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:(\d+|\$\{WARREN_PORT:-8080\}):\d+", port)


def test_no_password_is_in_the_file_or_in_a_variable() -> None:
    for name, it in ALL.items():
        for key, value in it.get("environment", {}).items():
            assert not re.search(r"PASSWORD|SECRET|TOKEN|KEY", key) or key.endswith("_FILE"), f"{name}: {key}"
            assert not re.search(r"://[^/@]*:[^/@]*@", str(value)), f"{name}: {key}"


@pytest.mark.parametrize("name", sorted(PROCESSES))
def test_a_service_starts_when_tables_and_queues_are_there(name: str) -> None:
    wanted = {"condition": "service_completed_successfully"}
    assert ALL[name]["depends_on"] == {"migrations": wanted, "topology": wanted}
    assert ALL[name]["restart"] == "unless-stopped"


def test_everything_that_is_waited_for_exists() -> None:
    for name, it in ALL.items():
        assert set(it.get("depends_on", {})) <= set(ALL), name
    named = {source for name in ALL for source, _ in mounts(name).values() if source[0] != "."}
    assert named == SECRETS | DATA


def test_files_that_are_mounted_exist() -> None:
    sources = {source for name in ALL for source, _ in mounts(name).values() if source.startswith("./")}
    assert len(sources) == 3
    assert all((ROOT / source).is_file() for source in sources)
