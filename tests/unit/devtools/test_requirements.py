"""Errors on an unsuitable machine name the missing part and an alternative."""

import shutil
from pathlib import Path

import pytest

from devtools.errors import LocalError, MachineError, RootError
from devtools.servers import apt, debian_root, runtime
from devtools.servers.monitoring import Monitoring
from warren.progress import ProgressReport


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WARREN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("WARREN_SERVERS", raising=False)
    return tmp_path / "cache"


def build() -> Path:
    return debian_root.debian_root(ProgressReport(quiet=True))


def test_the_error_on_other_systems_names_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(MachineError, match=r"need Linux.*Docker"):
        build()


def test_a_missing_apt_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda tool: None)
    with pytest.raises(MachineError, match=r"apt-get is missing.*Docker"):
        build()


def test_a_missing_mirror_is_named(monkeypatch: pytest.MonkeyPatch, empty_cache: Path) -> None:
    monkeypatch.setattr(apt, "debian_mirrors", list)
    monkeypatch.setattr(apt, "require_tools", lambda: None)
    with pytest.raises(MachineError, match="No Debian mirror is configured in /etc/apt"):
        build()
    assert [path.name for path in (empty_cache / "roots").iterdir() if path.is_dir()] == []


def test_missing_disk_space_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt, "require_tools", lambda: None)
    monkeypatch.setattr(debian_root, "SPACE_NEEDED", 2**60)
    with pytest.raises(RootError, match=r"MB are needed.*WARREN_CACHE"):
        build()


def test_an_unwritable_cache_is_named(monkeypatch: pytest.MonkeyPatch, empty_cache: Path) -> None:
    monkeypatch.setattr(apt, "require_tools", lambda: None)
    empty_cache.write_text("a file where a folder should be")
    with pytest.raises(RootError, match=r"cannot be written.*WARREN_CACHE"):
        build()


def test_a_mirror_with_an_old_rabbitmq_is_refused() -> None:
    with pytest.raises(RootError, match=r"4\.2\.1.*4\.3\.1 or newer"):
        debian_root._require_version([Path("rabbitmq-server_4.2.1-1_all.deb")])
    debian_root._require_version([Path("rabbitmq-server_4.10.0-1_all.deb")])


def test_a_missing_docker_daemon_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    monkeypatch.setenv("WARREN_SERVERS", "docker")
    with pytest.raises(MachineError, match="no Docker daemon answers"):
        runtime.choose_runtimes(tmp_path, ProgressReport(quiet=True))


def test_an_unknown_value_of_warren_servers_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARREN_SERVERS", "podman")
    with pytest.raises(LocalError, match="may be docker, debian or empty"):
        runtime.choose_runtimes(tmp_path, ProgressReport(quiet=True))


def test_without_the_packages_of_prometheus_the_way_without_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_packages(*_: object) -> list[Path]:
        raise RootError("E: Unable to locate package prometheus")

    monkeypatch.setattr(apt, "require_tools", lambda: None)
    monkeypatch.setattr(apt, "download", no_packages)
    monkeypatch.setattr(runtime, "_docker_answers", lambda: False)
    with pytest.raises(LocalError, match=r"locate package prometheus\n.*warren up --no-prometheus"):
        Monitoring(tmp_path / "instance", ProgressReport(quiet=True)).prepare()
