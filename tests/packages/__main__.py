"""`make test-packages`: runs pytest with the library and the engine installed from their wheels."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from devtools.distributions.build import DistributionError
from devtools.paths import CHECKOUT
from tests import module_origins
from tests.installed_packages import InstalledPackages


def main() -> int:
    """Pass the arguments to pytest and return its exit code."""
    with tempfile.TemporaryDirectory(prefix="warren-installed-") as folder:
        try:
            packages = InstalledPackages(Path(folder), CHECKOUT)
        except DistributionError as error:
            sys.stderr.write(f"tests.packages: {error}\n")
            return 1
        command = [
            str(packages.python),
            "-m",
            "pytest",
            "--override-ini=pythonpath=.",
            "-p",
            module_origins.__name__,
        ]
        environment = os.environ | packages.variables
        return subprocess.run([*command, *sys.argv[1:]], cwd=CHECKOUT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
