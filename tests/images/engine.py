"""A Docker Engine for one run: the running one, or a temporary one.

Our own needs root and Debian's docker.io. Its data, socket and processes are in one folder, and iptables stay as they
are, so builds use the host's network and containers have none. It still gets a bridge: without one, dockerd
would delete the docker0 of any other engine.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

PROGRAMS = {"dockerd": "docker.io", "containerd": "containerd", "runc": "runc", "ip": "iproute2"} | {
    "mmdebstrap": "mmdebstrap"
}
BRIDGE_ADDRESS = "10.213.{}.1/24"
SECONDS = 60.0


class NoEngine(Exception):
    """There is none, and none can be started; the message says what is missing."""


@contextmanager
def engine(*, start: bool) -> Iterator[tuple[str, str]]:
    """Yield the client program and a description of the engine, to which DOCKER_HOST is set. Raises NoEngine."""
    program = _client()
    if _answers(program):
        yield program, f"the engine that answers `{program} version`"
        return
    if not start:
        raise NoEngine("no Docker Engine answers; `make images-test` starts one of its own")
    _require()
    with TemporaryDirectory(prefix="warren-engine-") as folder:
        before = os.environ.get("DOCKER_HOST")
        os.environ["DOCKER_HOST"] = f"unix://{folder}/socket"
        try:
            with _bridge() as bridge, _daemon(Path(folder), program, bridge):
                yield program, "an engine of our own"
        finally:
            os.environ.pop("DOCKER_HOST")
            if before is not None:
                os.environ["DOCKER_HOST"] = before


def _client() -> str:
    """The first docker of the path that has BuildKit."""
    for folder in os.get_exec_path():
        program = shutil.which("docker", path=folder)
        if program is not None and _run(program, "build", "--help").returncode == 0:
            return program
    raise NoEngine("no docker with BuildKit is installed (Debian: docker.io, or docker-cli with docker-buildx)")


def _answers(program: str) -> bool:
    return _run(program, "version", "--format", "{{.Server.Version}}").returncode == 0


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=os.environ | {"DOCKER_BUILDKIT": "1"}, capture_output=True, text=True, check=False, timeout=60
    )


def _require() -> None:
    missing = sorted({package for program, package in PROGRAMS.items() if shutil.which(program) is None})
    if missing:
        raise NoEngine(f"no Docker Engine answers, and to start one these packages are missing: {' '.join(missing)}")
    if os.getuid() != 0:
        raise NoEngine("no Docker Engine answers, and only root can start one")


@contextmanager
def _bridge() -> Iterator[str]:
    name = f"warren{os.getpid()}"[:15]
    address = BRIDGE_ADDRESS.format(os.getpid() % 256)
    try:
        for words in (["link", "add", name, "type", "bridge"], ["address", "add", address, "dev", name]):
            done = _run("ip", *words)
            if done.returncode:
                raise NoEngine(f"no Docker Engine answers, and no bridge can be made for one: {done.stderr.strip()}")
        yield name
    finally:
        _run("ip", "link", "delete", name)


@contextmanager
def _daemon(folder: Path, program: str, bridge: str) -> Iterator[None]:
    log = folder / "log"
    command = ["dockerd", "--host", os.environ["DOCKER_HOST"], "--data-root", str(folder / "data")]
    command += ["--exec-root", str(folder / "run"), "--pidfile", str(folder / "pid")]
    command += ["--iptables=false", "--ip-forward=false", "--bridge", bridge]
    with log.open("wb") as sink:
        daemon = subprocess.Popen(command, stdout=sink, stderr=sink, start_new_session=True)
    try:
        deadline = time.monotonic() + SECONDS
        while not _answers(program):
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise NoEngine(f"dockerd did not start: {log.read_text().strip().splitlines()[-1]}")
            time.sleep(0.2)
        yield
    finally:
        daemon.send_signal(signal.SIGTERM)
        try:
            daemon.wait(SECONDS)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
