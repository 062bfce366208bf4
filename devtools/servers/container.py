"""Runs one server in a Docker container. The daemon may have another file system than this machine.

Configuration is copied into the container, data is in a named volume, ports are published on loopback only.

A container belongs to the daemon and would outlive this process. So a watchdog process waits for the end of a pipe that
only this process holds open, and then removes the container.
"""

import io
import signal
import subprocess
import tarfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from devtools.errors import ServerError
from devtools.paths import short_hash
from devtools.ports import LOOPBACK
from devtools.processes.die_with_parent import die_with_parent, spawn
from devtools.servers.credentials import instance_identity

LABEL = "warren.instance"
FILES = PurePosixPath("/warren")
REMOVE_LIMIT = 20.0  # seconds
REMEDY = "Set WARREN_SERVERS=debian to run without Docker."
WATCHDOG = 'cat > /dev/null; exec docker rm --force --volumes "$1" > /dev/null 2>&1'


@dataclass(frozen=True)
class ServerImage:
    """An official image of a server. `volume_path` is a folder that the image prepares for its user."""

    name: str
    volume_path: str
    user: str = "999:999"
    program: str = ""
    """The program, where its name differs from that in Debian."""
    host_network: bool = False
    """Whether the container uses this machine's network: it connects to processes on loopback."""


class Container:
    """The server `name` of the instance in `instance_dir`, from `image`."""

    def __init__(self, instance_dir: Path, name: str, image: ServerImage) -> None:
        self._name = f"warren-{short_hash(str(instance_dir.resolve()))}-{name}"
        self._instance_dir = instance_dir.absolute()
        self._volume = f"{self._name}-{instance_identity(instance_dir)}"
        self.image = image
        self._watchdog: subprocess.Popen[bytes] | None = None

    @property
    def listen_host(self) -> str:
        return LOOPBACK if self.image.host_network else "0.0.0.0"  # noqa: S104 (in the container; published on loopback)

    @property
    def data(self) -> PurePosixPath:
        return PurePosixPath(self.image.volume_path) / "warren"

    def file(self, name: str) -> PurePosixPath:
        return FILES / name

    def launch(
        self, argv: Sequence[str], env: Mapping[str, str], files: Mapping[str, bytes], ports: Sequence[int]
    ) -> list[str]:
        self.release()
        self._remove()
        self._prune_volumes()
        docker("volume", "create", "--label", f"{LABEL}={self._instance_dir}", self._volume)
        published = [word for port in ports for word in ("--publish", f"{LOOPBACK}:{port}:{port}")]
        container = docker(
            "create",
            *("--name", self._name, "--user", self.image.user, "--entrypoint", self.image.program or argv[0]),
            # The daemon stores the container's output, without a limit by default.
            *("--log-driver", "local", "--log-opt", "max-size=10m", "--log-opt", "max-file=2"),
            *("--volume", f"{self._volume}:{self.image.volume_path}"),
            *(("--network", "host") if self.image.host_network else published),
            *(word for name, value in env.items() for word in ("--env", f"{name}={value}")),
            self.image.name,
            *argv[1:],
        ).strip()
        # By id: after a crash and a quick restart another container may have the name.
        self._watchdog = spawn(["sh", "-c", WATCHDOG, "watchdog", container], stdin=subprocess.PIPE)
        docker("cp", "-", f"{self._name}:/", stdin=self._archive(files))
        return die_with_parent(["docker", "start", "--attach", self._name])

    def send(self, process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        """The client process ends with the container.

        A kill removes the container, which also prevents a pending start; data is in the volume.
        """
        del process
        if number == signal.SIGKILL:
            docker("rm", "--force", self._name, check=False)
        else:
            docker("kill", "--signal", number.name, self._name, check=False)

    def run(self, argv: Sequence[str], env: Mapping[str, str], time_limit: float = 60.0) -> str:
        del env  # the container already has it
        return docker("exec", "--user", self.image.user, self._name, *argv, time_limit=time_limit)

    def run_once(self, argv: Sequence[str], files: Mapping[str, bytes], time_limit: float = 60.0) -> str:
        options = ("--user", self.image.user, "--workdir", str(FILES), "--network", "none", "--entrypoint", argv[0])
        container = docker("create", *options, self.image.name, *argv[1:]).strip()
        try:
            docker("cp", "-", f"{container}:/", stdin=self._archive(files))
            return docker("start", "--attach", container, time_limit=time_limit)
        finally:
            docker("rm", "--force", container, check=False)

    def erase(self) -> None:
        self._remove()
        docker("volume", "rm", "--force", self._volume, check=False)

    def _remove(self) -> None:
        """Wait until the container is removed; the watchdog of an earlier run may be removing it too."""
        deadline = time.monotonic() + REMOVE_LIMIT
        while docker("ps", "--all", "--quiet", "--filter", f"name=^/{self._name}$").strip():
            docker("rm", "--force", self._name, check=False)
            if time.monotonic() > deadline:
                raise ServerError(f"The container {self._name} cannot be removed. {REMEDY}")

    def _prune_volumes(self) -> None:
        """Delete the data of instances whose folder was deleted, or deleted and created again."""
        form = '{{.Name}}\t{{.Label "' + LABEL + '"}}'
        for line in docker("volume", "ls", "--filter", f"label={LABEL}", "--format", form).splitlines():
            name, _, instance_dir = line.partition("\t")
            is_previous = name.startswith(f"{self._name}-") and name != self._volume
            if is_previous or not Path(instance_dir).exists():
                docker("volume", "rm", name, check=False)

    def release(self) -> None:
        """End the watchdog, which removes the stopped container."""
        if self._watchdog is not None:
            assert self._watchdog.stdin is not None  # noqa: S101 (made with a pipe)
            self._watchdog.stdin.close()
            self._watchdog.wait(30)
            self._watchdog = None

    def _archive(self, files: Mapping[str, bytes]) -> bytes:
        """Return the files as a tar archive for `docker cp`, readable by the server's user only."""
        uid, gid = (int(part) for part in self.image.user.split(":"))
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            folder = tarfile.TarInfo(str(FILES.relative_to("/")))
            folder.type, folder.mode, folder.uid, folder.gid = tarfile.DIRTYPE, 0o700, uid, gid
            archive.addfile(folder)
            for name, content in files.items():
                file = tarfile.TarInfo(f"{folder.name}/{name}")
                file.size, file.mode, file.uid, file.gid = len(content), 0o600, uid, gid
                archive.addfile(file, io.BytesIO(content))
        return buffer.getvalue()


def docker(*arguments: str, stdin: bytes | None = None, check: bool = True, time_limit: float = 60.0) -> str:
    """Return the output of a docker command. With `check`, raises ServerError with docker's message if it fails."""
    try:
        result = subprocess.run(
            ["docker", *arguments], input=stdin, capture_output=True, check=False, timeout=time_limit
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServerError(f"docker {arguments[0]}: {error}. {REMEDY}") from error
    if check and result.returncode != 0:
        output = (result.stderr + result.stdout).decode(errors="replace").strip()
        raise ServerError(f"docker {arguments[0]} failed. {REMEDY}", output)
    return result.stdout.decode(errors="replace")
