"""The commands that run a server in Docker, recorded by a program called docker."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from devtools.errors import ServerError
from devtools.servers.container import Container, ServerImage
from devtools.servers.runtime import BROKER_IMAGE, EXPORTER_IMAGE, PROMETHEUS_IMAGE

DOCKER = """#!/bin/sh
echo "$*" >> '{folder}/calls'
case "$1" in
    create) echo container-id;;
    cp) tar --extract --directory '{folder}/copied';;
    start) echo output; echo details >&2; exit $(cat '{folder}/exit-code');;
esac
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    (tmp_path / "copied").mkdir()
    (tmp_path / "exit-code").write_text("0")
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(DOCKER.format(folder=tmp_path))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return lambda: (tmp_path / "calls").read_text().splitlines()


def created(tmp_path: Path, calls: Callable[[], list[str]], image: ServerImage, program: str) -> tuple[Container, str]:
    container = Container(tmp_path, "server", image)
    container.launch([program, "--flag"], {"A": "b"}, {"rules/a.yaml": b"groups: []"}, [4711])
    container.release()
    (create,) = (call for call in calls() if call.startswith("create "))
    assert create.endswith(f"--env A=b {image.name} --flag")
    assert (tmp_path / "copied" / "warren" / "rules" / "a.yaml").read_bytes() == b"groups: []"
    assert calls()[-1] == "rm --force --volumes container-id"  # by the watchdog
    return container, create


def test_the_broker_is_published_on_loopback_only(tmp_path: Path, calls: Callable[[], list[str]]) -> None:
    container, create = created(tmp_path, calls, BROKER_IMAGE, "rabbitmq-server")
    assert container.listen_host == "0.0.0.0"  # noqa: S104 (in the container)
    assert "--publish 127.0.0.1:4711:4711" in create
    assert "--user 999:999 --entrypoint rabbitmq-server" in create
    assert "--network" not in create


@pytest.mark.parametrize(
    ("image", "program", "entrypoint"),
    [
        (PROMETHEUS_IMAGE, "prometheus", "prometheus"),
        (EXPORTER_IMAGE, "prometheus-postgres-exporter", "postgres_exporter"),
    ],
)
def test_prometheus_reaches_the_services_on_loopback(
    tmp_path: Path, calls: Callable[[], list[str]], image: ServerImage, program: str, entrypoint: str
) -> None:
    container, create = created(tmp_path, calls, image, program)
    assert container.listen_host == "127.0.0.1"
    assert "--network host" in create
    assert "--publish" not in create
    assert f"--user 65534:65534 --entrypoint {entrypoint}" in create


def test_a_command_runs_once_on_copies_of_files(tmp_path: Path, calls: Callable[[], list[str]]) -> None:
    container = Container(tmp_path, "server", PROMETHEUS_IMAGE)
    files = {"tests/rules/a.yaml": b"tests: []"}
    assert container.run_once(["promtool", "test", "rules", "tests/rules/a.yaml"], files) == "output\n"
    assert (tmp_path / "copied" / "warren" / "tests" / "rules" / "a.yaml").read_bytes() == b"tests: []"
    assert calls()[0].endswith(f"--entrypoint promtool {PROMETHEUS_IMAGE.name} test rules tests/rules/a.yaml")
    (tmp_path / "exit-code").write_text("1")
    with pytest.raises(ServerError, match=r"docker start failed[^\n]*\ndetails\noutput"):
        container.run_once(["promtool"], files)
    assert calls()[-1] == "rm --force container-id"
