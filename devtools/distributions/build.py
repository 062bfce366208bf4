"""Wheel and source archive of each distribution. Building again gives the same bytes."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from devtools.errors import LocalError
from devtools.paths import CHECKOUT

FOLDERS = {"warren-messaging": "services/shared/messaging", "broker-topology": "operator"}
"""The folders of the published distributions. `warren` itself is not published: it runs from a checkout."""

EXTRAS = {
    "warren-messaging": {
        "prometheus": "warren_messaging.prometheus",
        "sqlalchemy": "warren_messaging.postgres.sqlalchemy",
    },
    "broker-topology": {"operator": "topology_operator"},
}
"""The extras of each distribution, and the package or module that needs each."""


class DistributionError(LocalError):
    """A distribution could not be built, or is not as it must be; with the output of the program that noticed it."""


def build(destination: Path) -> list[Path]:
    """Build a source archive and a wheel of each distribution into `destination`; return their files.

    The wheel is built from the unpacked source archive, so the archive has everything. Raises DistributionError.
    """
    destination.mkdir(parents=True, exist_ok=True)
    return [file for folder in FOLDERS.values() for file in _build(CHECKOUT / folder, destination)]


def build_wheels(destination: Path, tree: Path, names: Iterable[str] = FOLDERS) -> list[Path]:
    """Build wheels of a copy of the checkout; return their files. Raises DistributionError."""
    return [_hatchling("wheel", tree / FOLDERS[name], destination / name) for name in names]


def check_reproducible(files: list[Path]) -> None:
    """Build everything a second time and compare the bytes. Raises DistributionError."""
    with tempfile.TemporaryDirectory(prefix="warren-dist-") as folder:
        for first, second in zip(files, build(Path(folder)), strict=True):
            if first.read_bytes() != second.read_bytes():
                raise DistributionError(f"{first.name}: two builds differ")


def check_metadata(files: list[Path]) -> None:
    """Check the metadata and the description as an index does. Raises DistributionError."""
    _run("twine", "check", "--strict", *map(str, files))


def _build(folder: Path, destination: Path) -> tuple[Path, Path]:
    with tempfile.TemporaryDirectory(prefix="warren-dist-") as temporary:
        source = _hatchling("sdist", folder, Path(temporary) / "sdist")
        unpacked = Path(temporary) / "unpacked"
        unpacked.mkdir()
        subprocess.run(["tar", "--extract", "--file", source, "--directory", unpacked], check=True)
        wheel = _hatchling("wheel", unpacked / source.name.removesuffix(".tar.gz"), Path(temporary) / "wheel")
        return Path(shutil.copy(source, destination)), Path(shutil.copy(wheel, destination))


def _hatchling(target: str, folder: Path, destination: Path) -> Path:
    """Build into `destination`, which does not exist yet; return the only file in it."""
    _run("hatchling", "build", "--target", target, "--directory", str(destination), folder=folder)
    (file,) = destination.iterdir()
    return file


def _run(module: str, *arguments: str, folder: Path | None = None) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise DistributionError(f"{module} {' '.join(arguments)}:\n{done.stdout}{done.stderr}")
