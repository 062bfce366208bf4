"""One instance's view of the private root: which folder its servers write to, and how commands run inside.

The root is shared and read-only to servers. What an instance owns lies in its own folder, seen by the servers under
`/instances/<key>`. Where mounts are forbidden that path is a real folder of the root instead.
"""

import contextlib
import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from warren.local.debian_root import SERVICE_UID
from warren.local.errors import MachineError, ServerError
from warren.local.paths import short_hash
from warren.local.spawn import spawn

__all__ = ["Enclosure"]

ORIGIN = "belongs-to"
SCRIPT = Path(__file__).with_name("confinement.py")


class Enclosure:
    """Commands in `root`, with the data of one instance. Raises MachineError where the machine forbids it."""

    def __init__(self, root: Path, instance_dir: Path) -> None:
        self.root = root
        self.namespaces = _namespaces_work(root)
        key = short_hash(str(instance_dir.resolve()))
        self.inside = Path("/instances") / key
        self._mount_point = root / "instances" / key
        self.outside = instance_dir / "servers" if self.namespaces else self._mount_point
        self.outside.mkdir(parents=True, exist_ok=True)
        self.own(self.outside)
        if not self.namespaces:
            _prune(root / "instances", self.outside, instance_dir)

    def path(self, *parts: str) -> Path:
        """A path as the servers see it."""
        return self.inside.joinpath(*parts)

    def folder(self, *parts: str) -> Path:
        """The same path as this process sees it, made if need be and owned by the servers' user."""
        folder = self.outside
        for part in parts:
            folder = folder / part
            folder.mkdir(mode=0o700, exist_ok=True)
            self.own(folder)
        return folder

    def write(self, content: str | bytes, *parts: str) -> Path:
        """Writes a file that only the servers' user may read; returns its path as the servers see it."""
        file = self.folder(*parts[:-1]) / parts[-1]
        partial = file.with_name(f".{file.name}.partial")
        partial.unlink(missing_ok=True)
        partial.touch(mode=0o600)
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
        self.own(partial)
        partial.rename(file)
        return self.path(*parts)

    def own(self, path: Path) -> None:
        if os.getuid() == 0:
            os.chown(path, SERVICE_UID, SERVICE_UID)

    def erase(self) -> None:
        """Deletes everything the servers ever wrote."""
        shutil.rmtree(self.outside, ignore_errors=True)
        self.outside.mkdir(parents=True, exist_ok=True)
        self.own(self.outside)

    def release(self) -> None:
        """Takes the empty mount point out of the shared root; the next command puts it back."""
        if self.namespaces:
            with contextlib.suppress(OSError):
                self._mount_point.rmdir()

    def command(self, argv: Sequence[str], env: Mapping[str, str] | None = None) -> list[str]:
        """The command line that runs `argv` inside; it dies with this process."""
        self._mount_point.mkdir(exist_ok=True)
        binds = {str(self.inside): str(self.outside)} if self.namespaces else {}
        return _confined(self.root, argv, namespaces=self.namespaces, binds=binds, env=env or {}, cwd=str(self.inside))

    def run(self, argv: Sequence[str], env: Mapping[str, str] | None = None, time_limit: float = 60.0) -> str:
        """Runs `argv` to its end and returns its standard output. Raises ServerError if it fails."""
        process = spawn(self.command(argv, env), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            output, errors = process.communicate(timeout=time_limit)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise ServerError(f"{argv[0]} did not end within {time_limit:.0f} s") from None
        if process.returncode != 0:
            raise ServerError(
                f"{' '.join(argv[:3])} failed with exit code {process.returncode}",
                (errors + output).decode(errors="replace").strip(),
            )
        return output.decode(errors="replace")


def _prune(instances: Path, mine: Path, instance_dir: Path) -> None:
    """Deletes data that lies in the root although the folder of its instance is gone."""
    (mine / ORIGIN).write_text(str(instance_dir.absolute()))
    for folder in instances.iterdir():
        origin = folder / ORIGIN
        if origin.exists() and not Path(origin.read_text()).exists():
            shutil.rmtree(folder, ignore_errors=True)


def _confined(
    root: Path,
    argv: Sequence[str],
    *,
    namespaces: bool,
    binds: Mapping[str, str],
    env: Mapping[str, str],
    cwd: str,
) -> list[str]:
    specification = {
        "supervisor": os.getpid(),
        "root": str(root),
        "namespaces": namespaces,
        "binds": dict(binds),
        "uid": SERVICE_UID,
        "cwd": cwd,
        "argv": list(argv),
        "env": {"PATH": "/usr/sbin:/usr/bin", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC", **env},
    }
    return [sys.executable, "-I", "-S", str(SCRIPT), json.dumps(specification)]


@functools.cache
def _namespaces_work(root: Path) -> bool:
    """True if commands get their own namespaces, False if only chroot works; tried once per process."""
    as_root = os.getuid() == 0
    complaints = []
    for namespaces in (True, False) if as_root else (True,):
        command = _confined(root, ["/usr/bin/true"], namespaces=namespaces, binds={}, env={}, cwd="/")
        process = spawn(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        complaint = process.communicate()[1].decode(errors="replace").strip()
        if process.returncode == 0:
            return namespaces
        complaints.append(complaint or f"exit code {process.returncode}")
    raise MachineError(
        f"Private servers cannot be started here: {'; '.join(complaints)}. "
        + (
            "This container forbids both mounts and chroot; run it with CAP_SYS_CHROOT, or use Docker."
            if as_root
            else "This machine gives plain users no user namespaces (see the sysctl settings "
            "kernel.unprivileged_userns_clone and kernel.apparmor_restrict_unprivileged_userns). "
            "Allow them, run as root, or start Docker."
        )
    )
