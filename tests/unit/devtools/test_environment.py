"""Errors of `environment.sh install`: one line with the remedy. Runs a copy of the script with this Python's pip."""

import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from devtools.paths import CHECKOUT

REQUIREMENTS = f"no-such-package==1.0 --hash=sha256:{'a' * 64}\n"


class SilentRequestHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        pass


@pytest.fixture
def empty_index(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "index").mkdir()
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(SilentRequestHandler, directory=str(tmp_path / "index"))
    ) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/simple"
        server.shutdown()
        thread.join()


def install(folder: Path, index: str) -> subprocess.CompletedProcess[str]:
    """Run `environment.sh install` in an environment whose Python is the one that runs this test."""
    (folder / ".venv" / "bin").mkdir(parents=True)
    python = folder / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o700)
    (folder / "requirements.txt").write_text(REQUIREMENTS)
    script = shutil.copy(CHECKOUT / "devtools" / "environment.sh", folder)
    settings = {"PIP_INDEX_URL": index, "PIP_EXTRA_INDEX_URL": "", "PIP_RETRIES": "1", "PIP_CONFIG_FILE": "/dev/null"}
    return subprocess.run(
        ["bash", script, "install", "requirements.txt"],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), **settings},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_unreachable_package_index_is_reported(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # without listening, so connections are refused
        result = install(tmp_path, f"http://127.0.0.1:{closed.getsockname()[1]}/simple")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(
        "environment: no package index answers: [Errno 111] Connection refused (NewConnectionError)."
    )
    assert "PIP_INDEX_URL" in line
    assert ".venv/install.log" in line
    assert "No matching distribution" in (tmp_path / ".venv" / "install.log").read_text()


def test_a_package_that_the_index_lacks_is_reported(tmp_path: Path, empty_index: str) -> None:
    result = install(tmp_path, empty_index)
    assert result.returncode == 1
    assert "No matching distribution found for no-such-package==1.0" in result.stderr
    assert "no package index answers" not in result.stderr
