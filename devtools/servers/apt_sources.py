"""Finds this machine's Debian mirrors, which apt reads from its configuration; Warren itself names none.

Security and third-party archives are left out; apt would refuse them, because Debian's archive key does not sign them.
"""

import re
import subprocess
import tempfile
from pathlib import Path

from devtools.errors import MachineError

# The suites of Debian's main archive; derivatives use other names.
DEBIAN_SUITES = (
    "stable", "testing", "unstable", "oldstable", "sid", "buster", "bullseye", "bookworm", "trixie", "forky", "duke",
)  # fmt: skip
_MAIN_PACKAGES = re.compile(
    rf"^'(?!cdrom:)(\S+?)/?/dists/(?:{'|'.join(DEBIAN_SUITES)})(?:-updates|-backports|-proposed-updates)*/main/binary-",
    re.MULTILINE,
)


def debian_mirrors(apt_dir: Path = Path("/etc/apt")) -> list[str]:
    """Return the URIs of the configured Debian main archives, the most likely one first.

    Raises MachineError without apt, and if apt cannot read its configuration.
    """
    with tempfile.TemporaryDirectory() as state:
        command = ["apt-get", "update", "--print-uris", "-o", f"Dir::Etc={apt_dir}", "-o", f"Dir::State={state}"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            raise MachineError(f"apt-get cannot be run: {error.strerror}") from error
    if done.returncode:
        raise MachineError(f"apt cannot read its configuration: {done.stderr.strip()}")
    return mirrors_among(done.stdout)


def mirrors_among(files: str) -> list[str]:
    """Return the mirrors of a list of files, as `apt-get update --print-uris` prints it."""
    # Debian's mirrors end in /debian; other vendors' archives rarely do.
    return sorted(dict.fromkeys(_MAIN_PACKAGES.findall(files)), key=lambda uri: not uri.endswith("/debian"))
