"""`make images-test` without a Docker Engine lists the checks as not run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.images import engine
from tests.images.checks import CHECKS

ROOT = Path(__file__).resolve().parents[3]


def test_without_an_engine_nothing_counts_as_passed(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.images"],
        cwd=ROOT,
        env=os.environ | {"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 77
    assert done.stdout.count("NOT RUN  ") == len(CHECKS)
    assert "passed   " not in done.stdout
    assert f"{len(CHECKS)} checks were NOT RUN, none passed: no docker with BuildKit is installed" in done.stdout
    assert done.stderr == ""


def test_missing_packages_of_an_engine_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = tmp_path / "docker"
    client.write_text('#!/bin/sh\n[ "$1" = build ]\n')  # it has BuildKit, but no daemon
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/nowhere")
    monkeypatch.setattr(engine.shutil, "which", lambda name, path="": str(client) if name == "docker" else None)
    with pytest.raises(engine.NoEngine) as refused, engine.engine(start=True):
        pass
    assert str(refused.value).endswith("are missing: containerd docker.io iproute2 mmdebstrap runc")


def test_the_test_command_starts_no_engine(tmp_path: Path) -> None:
    client = tmp_path / "docker"
    client.write_text('#!/bin/sh\n[ "$1" = build ]\n')
    client.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-m", "tests.images", "--answering"],
        cwd=ROOT,
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 77
    assert "no Docker Engine answers; `make images-test` starts one" in done.stdout
    (line,) = [line for line in (ROOT / "Makefile").read_text().splitlines() if "tests.images $" in line]
    assert "$(if $(WARREN_OWN_ENGINE),,--answering) || [ $$? -eq 77 ] || code=1; " in line
