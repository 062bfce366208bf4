"""What a machine lacks is said in words that name it and the way out."""

import shutil
from pathlib import Path

import pytest

from devtools.errors import LocalError, MachineError, RootError
from devtools.servers import apt, debian_root
from devtools.servers import runtime as docker_servers
from warren.progress import SilentProgress


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WARREN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("WARREN_SERVERS", raising=False)
    return tmp_path / "cache"


def build() -> Path:
    return debian_root.debian_root(SilentProgress())


def test_other_systems_are_told_about_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(MachineError, match=r"need Linux.*Docker"):
        build()


def test_missing_apt_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda tool: None)
    with pytest.raises(MachineError, match=r"apt-get is missing.*Docker"):
        build()


def test_missing_mirror_is_named(monkeypatch: pytest.MonkeyPatch, empty_cache: Path) -> None:
    monkeypatch.setattr(apt, "debian_mirrors", list)
    monkeypatch.setattr(apt, "require_tools", lambda: None)
    with pytest.raises(MachineError, match="No Debian mirror is configured in /etc/apt"):
        build()
    assert [path.name for path in (empty_cache / "roots").iterdir() if path.is_dir()] == []


def test_missing_space_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt, "require_tools", lambda: None)
    monkeypatch.setattr(debian_root, "SPACE_NEEDED", 2**60)
    with pytest.raises(RootError, match=r"MB are needed.*WARREN_CACHE"):
        build()


def test_unwritable_cache_is_named(monkeypatch: pytest.MonkeyPatch, empty_cache: Path) -> None:
    monkeypatch.setattr(apt, "require_tools", lambda: None)
    empty_cache.write_text("a file where a folder should be")
    with pytest.raises(RootError, match=r"cannot be written.*WARREN_CACHE"):
        build()


def test_frozen_mirror_is_told_by_the_version_it_offers() -> None:
    with pytest.raises(RootError, match=r"4\.2\.1.*4\.3\.1 or newer"):
        debian_root._require_version([Path("rabbitmq-server_4.2.1-1_all.deb")])
    debian_root._require_version([Path("rabbitmq-server_4.10.0-1_all.deb")])


def test_a_docker_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    monkeypatch.setenv("WARREN_SERVERS", "docker")
    with pytest.raises(MachineError, match="no Docker daemon answers"):
        docker_servers.choose_runtimes(tmp_path, SilentProgress())


def test_unknown_wish_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARREN_SERVERS", "podman")
    with pytest.raises(LocalError, match="may be docker, debian or empty"):
        docker_servers.choose_runtimes(tmp_path, SilentProgress())
