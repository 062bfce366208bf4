"""The Debian that images stand on: the published one, or one made from Debian's packages where none can be pulled."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from devtools.images.docker import Docker
from devtools.images.errors import ImageError
from devtools.servers.apt_sources import debian_mirrors

# As in Debian's own slim images: what nobody reads in a container, but the licences.
LEFT_OUT = [
    *(
        f"--dpkgopt=path-exclude=/usr/share/{folder}/*"
        for folder in ("doc", "info", "locale", "man", "groff", "lintian")
    ),
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
]


def base(docker: Docker, suite: str) -> str:
    """The name of an image of this suite, pulled or made as needed. Raises ImageError."""
    published, made = f"debian:{suite}-slim", f"warren/base:{suite}"
    for image in (made, published):
        if docker.has(image):
            return image
    if docker.pull(published):
        return published
    _make(docker, suite, made)
    return made


def _make(docker: Docker, suite: str, image: str) -> None:
    if shutil.which("mmdebstrap") is None:
        raise ImageError(
            f"debian:{suite}-slim cannot be pulled, and without mmdebstrap it cannot be made from Debian's packages:"
            " apt-get install mmdebstrap"
        )
    mirrors = debian_mirrors()
    if not mirrors:
        raise ImageError("this machine's apt knows no Debian archive to make a base image from")
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "root.tar"
        # A mirror's list may be past its date, as in devtools/servers/apt.py; its signature is checked all the same.
        options = ["--variant=minbase", '--aptopt=Acquire::Check-Valid-Until "false"', *LEFT_OUT]
        command = ["mmdebstrap", *options, suite, str(archive), mirrors[0].uri]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            raise ImageError(f"mmdebstrap could not make Debian {suite}: {done.stdout.strip().splitlines()[-1]}")
        docker.load_root(archive, image)
