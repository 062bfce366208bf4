"""Runs one server inside a private Debian root.

The root is shared, and read-only for servers. A server's own files are in the instance's folder, which the server sees
as `/instances/<key>`. Where mounts are forbidden, that path is a real folder of the root instead.
"""

import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from devtools.errors import MachineError, ServerError
from devtools.paths import short_hash
from devtools.ports import LOOPBACK
from devtools.processes.die_with_parent import spawn
from devtools.servers.credentials import instance_identity
from devtools.servers.debian_root import SERVICE_UID

SCRIPT = Path(__file__).with_name("confinement.py")
PROGRAMS = "/usr/lib/rabbitmq/bin:/usr/lib/postgresql/18/bin:/usr/sbin:/usr/bin"
ORIGIN = "belongs-to"


class Sandbox:
    """The server `name` of the instance in `instance_dir`. Raises MachineError where the machine forbids it."""

    listen_host = LOOPBACK

    def __init__(self, root: Path, instance_dir: Path, name: str) -> None:
        self._root = root
        self._namespaces = _namespaces_work(root)
        key = f"{short_hash(str(instance_dir.resolve()))}-{name}"
        self._inside = PurePosixPath("/instances") / key
        self._mount_point = root / "instances" / key
        self._outside = instance_dir / name if self._namespaces else self._mount_point
        self._make_folder()
        if not self._namespaces:
            self._delete_orphaned_data(instance_dir)

    @property
    def data(self) -> PurePosixPath:
        return self._inside / "data"

    def file(self, name: str) -> PurePosixPath:
        return self._inside / name

    def launch(
        self, argv: Sequence[str], env: Mapping[str, str], files: Mapping[str, bytes], ports: Sequence[int]
    ) -> list[str]:
        """Ignores `ports`: servers share this machine's network."""
        del ports
        for name, content in files.items():
            self._write(name, content)
        return self._command(argv, env)

    def send(self, process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        process.send_signal(signal.SIGUSR1 if number == signal.SIGKILL else number)

    def run(self, argv: Sequence[str], env: Mapping[str, str], time_limit: float = 60.0) -> str:
        process = spawn(self._command(argv, env), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            output, errors = process.communicate(timeout=time_limit)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise ServerError(f"{argv[0]} did not end within {time_limit:.0f} s.") from None
        if process.returncode != 0:
            text = (errors + output).decode(errors="replace").strip()
            raise ServerError(f"{' '.join(argv)} failed with exit code {process.returncode}.", text)
        return output.decode(errors="replace")

    def run_once(self, argv: Sequence[str], files: Mapping[str, bytes], time_limit: float = 60.0) -> str:
        self.erase()
        try:
            for name, content in files.items():
                self._write(name, content)
            return self.run(argv, {}, time_limit)
        finally:
            self.erase()

    def erase(self) -> None:
        shutil.rmtree(self._outside, ignore_errors=True)
        self._make_folder()

    def release(self) -> None:
        """Remove the empty mount point from the shared root; the next command creates it again."""
        if self._namespaces:
            with contextlib.suppress(OSError):
                self._mount_point.rmdir()

    def _delete_orphaned_data(self, instance_dir: Path) -> None:
        """Delete data in the root of instances whose folder was deleted, or deleted and created again."""
        owner = f"{instance_dir.absolute()}\n{instance_identity(instance_dir)}"
        origin = self._outside / ORIGIN
        if origin.exists() and origin.read_text() != owner:
            self.erase()
        origin.write_text(owner)
        for other in self._outside.parent.glob(f"*/{ORIGIN}"):
            if not Path(other.read_text().splitlines()[0]).exists():
                shutil.rmtree(other.parent, ignore_errors=True)

    def _make_folder(self) -> None:
        for folder in (self._outside, self._outside / "data"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._chown_to_server(folder)

    def _write(self, name: str, content: bytes) -> None:
        """Write a file that only the server's user may read."""
        for folder in reversed(PurePosixPath(name).parents[:-1]):
            (self._outside / folder).mkdir(mode=0o700, exist_ok=True)
            self._chown_to_server(self._outside / folder)
        partial = self._outside / f"{name}.partial"
        partial.unlink(missing_ok=True)
        partial.touch(mode=0o600)
        partial.write_bytes(content)
        self._chown_to_server(partial)
        partial.rename(self._outside / name)

    def _chown_to_server(self, path: Path) -> None:
        if os.getuid() == 0:
            os.chown(path, SERVICE_UID, SERVICE_UID)

    def _command(self, argv: Sequence[str], env: Mapping[str, str]) -> list[str]:
        self._mount_point.mkdir(exist_ok=True)
        binds = {str(self._inside): str(self._outside)} if self._namespaces else {}
        env = {"HOME": str(self._inside), **env}
        return _confined(self._root, argv, namespaces=self._namespaces, binds=binds, env=env, cwd=str(self._inside))


def _confined(
    root: Path,
    argv: Sequence[str],
    *,
    namespaces: bool,
    binds: Mapping[str, str],
    env: Mapping[str, str],
    cwd: str,
) -> list[str]:
    """Return the command line of confinement.py."""
    specification = {
        "supervisor": os.getpid(),
        "root": str(root),
        "namespaces": namespaces,
        "binds": dict(binds),
        "uid": SERVICE_UID,
        "cwd": cwd,
        "argv": list(argv),
        "env": {"PATH": PROGRAMS, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC", **env},
    }
    return [sys.executable, "-I", "-S", str(SCRIPT), json.dumps(specification)]


@functools.cache
def _namespaces_work(root: Path) -> bool:
    """Return whether commands can have namespaces, else only chroot. Tried once per process. Raises MachineError."""
    as_root = os.getuid() == 0
    problems = []
    for namespaces in (True, False) if as_root else (True,):
        command = _confined(root, ["true"], namespaces=namespaces, binds={}, env={}, cwd="/")
        process = spawn(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        problem = process.communicate()[1].decode(errors="replace").strip()
        if process.returncode == 0:
            return namespaces
        problems.append(problem or f"exit code {process.returncode}")
    raise MachineError(
        f"Private servers cannot be started here: {'; '.join(problems)}. "
        + (
            "This container forbids both mounts and chroot; run it with CAP_SYS_CHROOT, or use Docker."
            if as_root
            else "This machine does not allow user namespaces to ordinary users (see the sysctl settings "
            "kernel.unprivileged_userns_clone and kernel.apparmor_restrict_unprivileged_userns). "
            "Allow them, run as root, or start Docker."
        )
    )
