"""Downloads Debian packages with the machine's apt, into a private folder and without administrator rights.

apt uses the machine's mirror and network settings, verifies Debian's signatures, and sees an empty list of installed
packages, so that it downloads all dependencies.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from devtools.errors import MachineError, RootError
from devtools.servers.apt_sources import debian_mirrors
from warren.progress import ProgressStep

ARCHIVE_KEYRINGS = (
    Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    Path("/usr/share/keyrings/debian-archive-keyring.pgp"),
)
UPDATE_SHARE = 0.25  # of the whole step's time; the rest is fetching packages


def require_tools() -> None:
    """Raises MachineError unless Debian's package tools are installed."""
    for tool in ("apt-get", "apt-config", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise MachineError(
                f"{tool} is missing: private servers are built from Debian packages. "
                "Use a Debian machine, or start Docker so that Warren can run both servers in containers."
            )


def download(suite: str, packages: Sequence[str], folder: Path, step: ProgressStep) -> list[Path]:
    """Download the `.deb` files of `packages` and their dependencies from the first working mirror.

    Raises MachineError if no mirror is configured, RootError with apt's messages if none works.
    """
    mirrors = debian_mirrors()
    if not mirrors:
        raise MachineError(
            "No Debian mirror is configured in /etc/apt/sources.list or /etc/apt/sources.list.d. "
            "Add one, or start Docker so that Warren can run both servers in containers."
        )
    failures = []
    for mirror in mirrors:
        environment = _private_configuration(folder, mirror, suite)
        try:
            _run(["update"], environment, step, 0.0, UPDATE_SHARE)
            _run(["install", "--download-only", *packages], environment, step, UPDATE_SHARE, 1.0)
        except RootError as error:
            failures.append(str(error))
            continue
        return sorted((folder / "cache" / "archives").glob("*.deb"))
    raise RootError(
        "Debian's packages could not be downloaded: is the network up, and does the mirror in /etc/apt answer?\n"
        + "\n".join(failures)
    )


def _private_configuration(folder: Path, mirror: str, suite: str) -> dict[str, str]:
    """Write apt's configuration below `folder`; returns the environment in which apt uses it."""
    shutil.rmtree(folder, ignore_errors=True)
    for part in ("state/lists/partial", "cache/archives/partial", "etc"):
        (folder / part).mkdir(parents=True)
    (folder / "status").touch()
    (folder / "debian.sources").write_text(_source(mirror, suite))
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
    configuration = [
        *(line for line in dump.splitlines() if _is_about_network(line)),
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
        # A mirror may lag behind; signatures are verified anyway.
        'Acquire::Check-Valid-Until "false";',
        'Acquire::Languages "none";',
        'Acquire::Retries "3";',
        'APT::Sandbox::User "";',
        'APT::Install-Recommends "false";',
        'APT::Get::Assume-Yes "true";',
        'APT::Status-Fd "1";',
    ]
    file = folder / "apt.conf"
    file.touch(mode=0o600)  # a proxy's URL may contain a password
    file.write_text("\n".join(configuration) + "\n")
    return {**os.environ, "APT_CONFIG": str(file), "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}


def _source(mirror: str, suite: str) -> str:
    lines = ["Types: deb", f"URIs: {mirror}", f"Suites: {suite}", "Components: main"]
    lines += [f"Signed-By: {file}" for file in ARCHIVE_KEYRINGS if file.exists()][:1]
    return "\n".join(lines) + "\n"


def _is_about_network(line: str) -> bool:
    """Return whether a line is about proxies, certificates or time limits."""
    return line.startswith("Acquire::") and not line.startswith(("Acquire::Languages", "Acquire::IndexTargets"))


def _run(arguments: list[str], environment: dict[str, str], step: ProgressStep, start: float, stop: float) -> None:
    """Run apt-get and show its progress between `start` and `stop` of the step."""
    errors: list[str] = []
    with subprocess.Popen(
        ["apt-get", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as apt:
        try:
            for line in apt.stdout or ():
                if status := re.match(r"dlstatus:\d+:([\d.]+):", line):
                    step.advance(start + (stop - start) * float(status[1]) / 100)
                elif line.startswith(("E:", "W:", "Err")):
                    errors.append(line.rstrip())
        except BaseException:
            apt.kill()
            raise
    if apt.returncode != 0:
        raise RootError(f"apt-get {arguments[0]} failed:\n" + "\n".join(errors[-8:]))
