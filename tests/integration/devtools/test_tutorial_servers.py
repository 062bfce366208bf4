"""`python -m devtools.servers` prepares both servers for the tutorial of the messaging library."""

import subprocess
import sys
from pathlib import Path

import pytest

from devtools.servers.__main__ import administration, locked, main, prepare
from devtools.servers.servers import Servers
from tests.coffee_shop import project_files

PROGRAM = Path(sys.executable).parent / "warren-messaging"


def test_its_variables_are_all_that_the_tutorial_needs(servers: Servers, tmp_path: Path) -> None:
    for name, text in project_files().items():
        (tmp_path / name).write_text(text)
    for _ in range(2):  # the second run finds user and database
        variables = prepare(servers, "coffee", tmp_path / "secrets" / "coffee")
    for command in (["migrations", "apply"], ["topology"], ["doctor"]):
        options = ["--declare"] if command == ["topology"] else []
        done = subprocess.run(
            [PROGRAM, *command, "coffee:service", *options],
            cwd=tmp_path,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_its_administrator_may_apply_a_topology(servers: Servers, tmp_path: Path) -> None:
    (tmp_path / "weather.yaml").write_text(
        "{apiVersion: warren.dev/v1alpha1, kind: Topology, metadata: {name: w}, spec: {vhost: weather}}"
    )
    command = [PROGRAM.with_name("broker-topology"), "plan", "weather.yaml"]
    done = subprocess.run(
        command, cwd=tmp_path, env=administration(servers), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (3, ""), done.stdout
    assert done.stdout.startswith("+ vhost weather")


def test_servers_that_run_are_not_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("devtools.servers.__main__.instance_dir", lambda _: tmp_path)
    monkeypatch.setattr(sys, "argv", ["devtools.servers", "tea"])
    with locked(tmp_path):
        assert main() == 1
    error = capsys.readouterr().err
    assert error.startswith("devtools.servers: the servers of this checkout are already running")
    assert error.count("\n") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["instance.lock"]


@pytest.mark.parametrize("name", ["Coffee", "coffee-bar", "", "a" * 40, "x'; --"])
def test_a_name_that_is_no_user_is_refused(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["devtools.servers", name])
    with pytest.raises(SystemExit):
        main()
    assert f"{name!r} is not a lower-case name" in capsys.readouterr().err
