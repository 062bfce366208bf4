"""The Debian base image: the published one, or one built from Debian's packages if it cannot be pulled."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from devtools.errors import MachineError
from devtools.images.docker import Docker, ImageError
from devtools.servers.apt_sources import debian_mirrors

# Documentation is not installed, except licences, as in Debian's slim images.
EXCLUDED = [
    *(
        f"--dpkgopt=path-exclude=/usr/share/{folder}/*"
        for folder in ("doc", "info", "locale", "man", "groff", "lintian")
    ),
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
]


def base(docker: Docker, suite: str) -> str:
    """Return the name of the base image of a suite, after pulling or building it if necessary. Raises ImageError."""
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
            f"debian:{suite}-slim cannot be pulled, and building it from Debian's packages needs mmdebstrap:"
            " apt-get install mmdebstrap"
        )
    try:
        mirrors = debian_mirrors()
    except MachineError as error:
        raise ImageError(str(error)) from error
    if not mirrors:
        raise ImageError("apt on this machine has no Debian mirror to build a base image from")
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "root.tar"
        # A mirror may lag behind, as in devtools/servers/apt.py; signatures are verified anyway.
        options = ["--variant=minbase", '--aptopt=Acquire::Check-Valid-Until "false"', *EXCLUDED]
        command = ["mmdebstrap", *options, suite, str(archive), mirrors[0]]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            raise ImageError(f"mmdebstrap could not build Debian {suite}: {done.stdout.strip().splitlines()[-1]}")
        docker.load_root(archive, image)
