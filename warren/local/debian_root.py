"""A private Debian that holds RabbitMQ and PostgreSQL, without installing anything on this machine.

The machine's own apt, pointed at private folders and Debian's `forky` suite, downloads and verifies the packages;
`dpkg-deb` unpacks them; no maintainer script runs. The few things those scripts would have done are done here.
Built once per machine and recipe in a temporary folder, then renamed into place: a root that exists is complete.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

from warren.local.apt_sources import AptSource, debian_mirrors
from warren.local.errors import MachineError, RootError
from warren.local.paths import roots_dir
from warren.local.report import Report, Step

__all__ = ["SERVICE_UID", "debian_root"]

SUITE = "forky"
PACKAGES = (
    "rabbitmq-server postgresql-18 dash bash coreutils sed grep mawk base-files libc-bin netbase".split()
)
RECIPE = 1  # raise it when the fix-ups below change
# Dependencies of maintainer scripts and command-line comfort that no server process ever loads.
NOT_UNPACKED = re.compile(
    r"(perl|perl-modules|libperl|systemd|locales|libc-l10n|debconf|adduser|passwd|login|ucf|postgresql-common|"
    r"postgresql-client-common|libtext-|libjson-perl|rabbitmqadmin|ssl-cert|sensible-utils|libc-gconv)[^_]*_"
)
NOT_KEPT = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/i18n", "usr/share/info")
SERVICE_UID = 60800  # outside every range that Debian hands out
SPACE_NEEDED = 900 * 2**20  # bytes, while packages and unpacked files are both there
MINIMUM_RABBITMQ = (4, 3, 1)
ARCHIVE_KEYRINGS = (
    Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    Path("/usr/share/keyrings/debian-archive-keyring.pgp"),
)


def debian_root(report: Report) -> Path:
    """The root's folder; builds it first if this machine has none yet (about 20 seconds, some 120 MB to fetch).

    Several callers may ask at once: one builds, the others wait. Raises MachineError or RootError.
    """
    key = hashlib.sha256(f"{RECIPE} {SUITE} {' '.join(PACKAGES)}".encode()).hexdigest()[:10]
    root = roots_dir() / f"{SUITE}-{key}"
    if root.is_dir():
        return root
    _require_tools()
    roots_dir().mkdir(parents=True, exist_ok=True)
    with _locked(root.with_suffix(".lock")):
        if not root.is_dir():
            for left_over in roots_dir().glob(f"{root.name}.building-*"):
                shutil.rmtree(left_over, ignore_errors=True)
            _require_space(roots_dir())
            workshop = Path(tempfile.mkdtemp(prefix=f"{root.name}.building-", dir=roots_dir()))
            try:
                _build(workshop, report)
                (workshop / "root").rename(root)
            finally:
                shutil.rmtree(workshop, ignore_errors=True)
    return root


def _build(workshop: Path, report: Report) -> None:
    workshop.chmod(0o755)
    with report.step("Downloading RabbitMQ and PostgreSQL from Debian") as step:
        archives = _download(workshop, step)
    with report.step("Unpacking them into a private root") as step:
        _unpack(archives, workshop / "root", step)
        _finish(workshop / "root")


def _require_tools() -> None:
    for tool in ("apt-get", "apt-config", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise MachineError(
                f"{tool} is missing: private servers are made from Debian packages. "
                "Use a Debian machine, or start Docker so that Warren can run both servers in containers."
            )


def _require_space(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < SPACE_NEEDED:
        raise RootError(
            f"{folder} has {free >> 20} MB free, {SPACE_NEEDED >> 20} MB are needed. "
            "Free some space, or name another folder in WARREN_CACHE."
        )


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Held by one process at a time; the kernel lets go of it if that process dies."""
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _download(workshop: Path, step: Step) -> list[Path]:
    mirrors = debian_mirrors()
    if not mirrors:
        raise MachineError(
            "No Debian mirror is configured in /etc/apt/sources.list or /etc/apt/sources.list.d. "
            "Add one, or start Docker so that Warren can run both servers in containers."
        )
    failures = []
    for mirror in mirrors:
        environment = _private_apt(workshop / "apt", mirror)
        try:
            _apt(["update"], environment, step, 0.0, 0.25)
            _apt(["install", "--download-only", *PACKAGES], environment, step, 0.25, 1.0)
        except RootError as error:
            failures.append(str(error))
            continue
        archives = sorted((workshop / "apt" / "cache" / "archives").glob("*.deb"))
        _require_version(archives)
        return archives
    raise RootError(
        "Debian's packages could not be downloaded: is the network up, and does the mirror in /etc/apt answer?\n"
        + "\n".join(failures)
    )


def _private_apt(folder: Path, mirror: AptSource) -> dict[str, str]:
    """An environment in which apt knows nothing of this machine but how to reach the network."""
    shutil.rmtree(folder, ignore_errors=True)
    for part in ("state/lists/partial", "cache/archives/partial", "etc"):
        (folder / part).mkdir(parents=True)
    (folder / "status").touch()
    keyring = next((str(file) for file in ARCHIVE_KEYRINGS if file.exists()), mirror.signed_by)
    source = ["Types: deb", f"URIs: {mirror.uri}", f"Suites: {SUITE}", "Components: main"]
    if keyring:
        source.append(f"Signed-By: {keyring}")
    (folder / "debian.sources").write_text("\n".join(source) + "\n")
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
    network = [
        line
        for line in dump.splitlines()
        if line.startswith("Acquire::") and not line.startswith(("Acquire::Languages", "Acquire::IndexTargets"))
    ]
    configuration = [
        *network,
        f'Dir::Etc::Parts "{folder}/etc";',
        'Dir::Etc::Main "/dev/null";',
        f'Dir::Etc::SourceList "{folder}/debian.sources";',
        f'Dir::Etc::SourceParts "{folder}/etc";',
        'Dir::Etc::Preferences "/dev/null";',
        f'Dir::Etc::PreferencesParts "{folder}/etc";',
        f'Dir::State "{folder}/state";',
        f'Dir::State::status "{folder}/status";',
        f'Dir::Cache "{folder}/cache";',
        f'Dir::Log "{folder}";',
        # A mirror may lag behind; what matters is that Debian signed what it offers.
        'Acquire::Check-Valid-Until "false";',
        'Acquire::Languages "none";',
        'Acquire::Retries "3";',
        'APT::Sandbox::User "";',
        'APT::Install-Recommends "false";',
        'APT::Get::Assume-Yes "true";',
        'APT::Status-Fd "1";',
    ]
    file = folder / "apt.conf"
    file.touch(mode=0o600)  # a proxy's address may hold a password
    file.write_text("\n".join(configuration) + "\n")
    return {**os.environ, "APT_CONFIG": str(file), "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}


def _apt(arguments: list[str], environment: dict[str, str], step: Step, start: float, stop: float) -> None:
    """Runs apt-get, showing its progress between `start` and `stop` of the step."""
    last_lines: list[str] = []
    with subprocess.Popen(
        ["apt-get", *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        stdin=subprocess.DEVNULL,
    ) as apt:
        assert apt.stdout is not None
        for line in apt.stdout:
            if status := re.match(r"dlstatus:\d+:([\d.]+):", line):
                step.advance(start + (stop - start) * float(status[1]) / 100)
            elif line.startswith(("E:", "W:", "Err")):
                last_lines.append(line.rstrip())
    if apt.returncode != 0:
        raise RootError(f"apt-get {arguments[0]} failed:\n" + "\n".join(last_lines[-8:]))


def _require_version(archives: list[Path]) -> None:
    names = " ".join(archive.name for archive in archives)
    found = re.search(r"rabbitmq-server_([\d.]+)", names)
    if found is None or tuple(int(part) for part in found[1].split(".")) < MINIMUM_RABBITMQ:
        raise RootError(
            f"The Debian mirror offers rabbitmq-server {found[1] if found else '(none)'} in {SUITE}; "
            "4.3.1 or newer is needed. A mirror frozen in the past cannot be used."
        )


def _unpack(archives: list[Path], root: Path, step: Step) -> None:
    for folder in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / folder).mkdir(parents=True)
        (root / folder).symlink_to(f"usr/{folder}")
    wanted = [archive for archive in archives if not NOT_UNPACKED.match(archive.name)]
    with ThreadPoolExecutor(max(2, os.cpu_count() or 2)) as pool:
        jobs = [pool.submit(_unpack_one, archive, root) for archive in wanted]
        for done, job in enumerate(as_completed(jobs), start=1):
            job.result()
            step.advance(done / len(jobs))


def _unpack_one(archive: Path, root: Path) -> None:
    result = subprocess.run(["dpkg-deb", "-x", str(archive), str(root)], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise RootError(f"{archive.name} could not be unpacked: {result.stderr.strip()}")


def _finish(root: Path) -> None:
    """What maintainer scripts would have done, as far as two servers need it."""
    for folder in NOT_KEPT:
        shutil.rmtree(root / folder, ignore_errors=True)
    for folder in ("dev", "proc", "tmp", "run", "etc", "instances"):
        (root / folder).mkdir(exist_ok=True)
    users = {0: "root", SERVICE_UID: "warren"}
    users.setdefault(os.getuid(), "user")
    passwd = [f"{name}:x:{uid}:{uid}:{name}:/instances:/bin/sh" for uid, name in users.items()]
    (root / "etc" / "passwd").write_text("\n".join(passwd) + "\n")
    (root / "etc" / "group").write_text("\n".join(f"{name}:x:{uid}:" for uid, name in users.items()) + "\n")
    # Without it the broker's node name does not resolve and it refuses to boot.
    (root / "etc" / "hosts").write_text("127.0.0.1 localhost\n")
    (root / "etc" / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files\n")
    for program in (root / "usr").glob("*bin/*"):
        if not program.is_symlink() and program.stat().st_mode & 0o6000:
            program.chmod(program.stat().st_mode & 0o0777)
    awk = root / "usr" / "bin" / "awk"
    if not awk.exists():
        awk.symlink_to("mawk")
