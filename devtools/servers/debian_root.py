"""Private Debian roots with the servers; nothing is installed on this machine.

Packages of Debian's `forky` suite are downloaded and unpacked. Maintainer scripts do not run; this module does the few
necessary parts of their work. A root is built once per machine and recipe in a temporary folder and then renamed, so
that an existing root is complete. Prometheus has a root of its own: only `warren up` and the tests of rules need it.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devtools.errors import MachineError, RootError
from devtools.paths import roots_dir
from devtools.servers import apt
from warren.progress import ProgressReport, ProgressStep

SUITE = "forky"
VERSION = 2  # increase it when the fix-ups below change
# Dependencies of maintainer scripts and command lines, which no server process loads.
NOT_UNPACKED = re.compile(
    r"(perl|perl-modules|libperl|systemd|locales|libc-l10n|debconf|adduser|passwd|login|ucf|postgresql-common|"
    r"postgresql-client-common|libtext-|libjson-perl|rabbitmqadmin|ssl-cert|sensible-utils|libc-gconv)[^_]*_"
)
NOT_KEPT = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/i18n", "usr/share/info")
SERVICE_UID = 60800  # outside the ranges that Debian assigns
SPACE_NEEDED = 600 * 2**20  # bytes, for packages and unpacked files together
MIN_RABBITMQ_VERSION = (4, 3, 1)


@dataclass(frozen=True)
class RootRecipe:
    """The packages of a root, which name it."""

    content: str
    servers: tuple[str, ...]
    base: tuple[str, ...]

    @property
    def key(self) -> str:
        """Differs for other packages, another version of this module and, because of /etc/passwd, another user."""
        text = f"{VERSION} {SUITE} {self.servers} {self.base} {os.getuid()}"
        return hashlib.sha256(text.encode()).hexdigest()[:10]


SERVERS = RootRecipe(
    "RabbitMQ and PostgreSQL",
    ("rabbitmq-server", "postgresql-18"),
    ("dash", "bash", "coreutils", "sed", "grep", "mawk", "base-files", "libc-bin", "netbase"),
)
"""A download of 120 MB, 200 MB unpacked, about 10 seconds."""
MONITORING = RootRecipe("Prometheus", ("prometheus", "promtool", "prometheus-postgres-exporter"), ("coreutils",))
"""A download of 50 MB, 200 MB unpacked, about 5 seconds."""


def debian_root(report: ProgressReport, recipe: RootRecipe = SERVERS) -> Path:
    """Return the root's folder; builds it first if it is missing.

    Of several callers, one builds and the others wait. Raises MachineError or RootError.
    """
    root = roots_dir() / f"{SUITE}-{recipe.key}"
    if root.is_dir():
        return root
    if sys.platform != "linux":
        raise MachineError(
            f"Private servers need Linux, this is {sys.platform}. Start Docker to run them in containers."
        )
    apt.require_tools()
    try:
        roots_dir().mkdir(parents=True, exist_ok=True)
        with _locked(root.with_suffix(".lock")):
            if not root.is_dir():
                _build(root, report, recipe)
    except OSError as error:
        raise RootError(f"{roots_dir()} cannot be written: {error}. Name another folder in WARREN_CACHE.") from error
    return root


def _build(root: Path, report: ProgressReport, recipe: RootRecipe) -> None:
    for leftover in root.parent.glob(f"{root.name}.building-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    _require_space(root.parent)
    build_dir = Path(tempfile.mkdtemp(prefix=f"{root.name}.building-", dir=root.parent))
    try:
        with report.step(f"Downloading {recipe.content} from Debian") as step:
            archives = apt.download(SUITE, (*recipe.servers, *recipe.base), build_dir / "apt", step)
            if recipe is SERVERS:
                _require_version(archives)
        with report.step(f"Unpacking {recipe.content} into a private root") as step:
            _unpack(archives, build_dir / "root", step)
            _finish(build_dir / "root")
        (build_dir / "root").rename(root)
    finally:
        shutil.rmtree(build_dir, ignore_errors=True)


def _require_space(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < SPACE_NEEDED:
        raise RootError(
            f"{folder} has {free >> 20} MB free, {SPACE_NEEDED >> 20} MB are needed. "
            "Free some space, or name another folder in WARREN_CACHE."
        )


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Hold a lock for one process at a time; the kernel releases it if the process dies."""
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _require_version(archives: list[Path]) -> None:
    names = " ".join(archive.name for archive in archives)
    found = re.search(r"rabbitmq-server_([\d.]+)", names)
    if found is None or tuple(int(part) for part in found[1].split(".")) < MIN_RABBITMQ_VERSION:
        raise RootError(
            f"The Debian mirror offers rabbitmq-server {found[1] if found else '(none)'} in {SUITE}; "
            "4.3.1 or newer is needed. A mirror frozen in the past cannot be used."
        )


def _unpack(archives: list[Path], root: Path, step: ProgressStep) -> None:
    root.mkdir()
    for folder in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / folder).mkdir(parents=True)
        (root / folder).symlink_to(f"usr/{folder}")
    wanted = [archive for archive in archives if not NOT_UNPACKED.match(archive.name)]
    with ThreadPoolExecutor(max(2, os.cpu_count() or 2)) as pool:
        jobs = [pool.submit(_unpack_one, archive, root) for archive in wanted]
        try:
            for done, job in enumerate(as_completed(jobs), start=1):
                job.result()
                step.advance(done / len(jobs))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _unpack_one(archive: Path, root: Path) -> None:
    result = subprocess.run(["dpkg-deb", "-x", str(archive), str(root)], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise RootError(f"{archive.name} could not be unpacked: {result.stderr.strip()}")


def _finish(root: Path) -> None:
    """Do the work of maintainer scripts that the servers need."""
    for folder in NOT_KEPT:
        shutil.rmtree(root / folder, ignore_errors=True)
    for folder in ("dev", "proc", "tmp", "run", "etc", "instances"):
        (root / folder).mkdir(exist_ok=True)
    root.chmod(0o755)
    # PostgreSQL refuses to run as a user without a name.
    users = {0: "root", SERVICE_UID: "warren"}
    users.setdefault(os.getuid(), "user")
    passwd = [f"{name}:x:{uid}:{uid}:{name}:/instances:/bin/sh" for uid, name in users.items()]
    (root / "etc" / "passwd").write_text("\n".join(passwd) + "\n")
    (root / "etc" / "group").write_text("\n".join(f"{name}:x:{uid}:" for uid, name in users.items()) + "\n")
    # Without it the broker's node name does not resolve, and the broker does not boot.
    (root / "etc" / "hosts").write_text("127.0.0.1 localhost\n")
    (root / "etc" / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files\n")
    for program in (root / "usr").glob("*bin/*"):
        if not program.is_symlink() and program.stat().st_mode & 0o6000:
            program.chmod(program.stat().st_mode & 0o0777)
    awk = root / "usr" / "bin" / "awk"
    if awk.with_name("mawk").exists() and not awk.exists():
        awk.symlink_to("mawk")
