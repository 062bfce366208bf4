"""An empty Python environment outside of the checkout, in which packages are installed as users install them."""

import fcntl
import os
import re
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping
from pathlib import Path

from devtools.distributions.build import DistributionError
from devtools.paths import CHECKOUT, cache_dir, short_hash

FOR_EXTRAS = {"sqlalchemy", "greenlet"}
"""Packages that only users of an extra need; requirements-dev.txt pins them."""


class Wheelhouse:
    """A folder with the pinned packages that programs need. The first use fetches them; later ones ask no index."""

    def __init__(self) -> None:
        self._requirements = _requirements("requirements.txt") | {
            name: pin for name, pin in _requirements("requirements-dev.txt").items() if name in FOR_EXTRAS
        }
        self.folder = cache_dir() / "wheels"
        self.constraints = self.folder / f"constraints-{short_hash(''.join(self._requirements.values()))}.txt"

    def fill(self) -> None:
        """Fetch missing packages; allows one process at a time. Raises DistributionError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self.constraints.exists():
                return
            with tempfile.NamedTemporaryFile("w", suffix=".txt") as wanted:
                wanted.writelines(self._requirements.values())
                wanted.flush()
                options = ("--require-hashes", "--no-deps", "--only-binary", ":all:", "--dest", str(self.folder))
                _check(pip("download", "--quiet", *options, "--requirement", wanted.name))
            self.constraints.write_text(
                "".join(pin.partition("\\")[0].strip() + "\n" for pin in self._requirements.values())
            )


class EmptyEnvironment:
    """An environment in `folder`, which may be anywhere. `wheels` is a folder with distributions of this checkout.

    Its pip finds those and the packages of the wheelhouse, asks no index and reads no configuration, so that the
    command of a tutorial (`pip install broker-topology`) runs here as it is written.
    """

    def __init__(self, folder: Path, wheels: Path) -> None:
        house = Wheelhouse()
        house.fill()
        venv.create(folder, with_pip=False, symlinks=True)
        self.python = folder / "bin" / "python"
        self.variables = {
            "PATH": f"{folder / 'bin'}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(folder),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": f"{wheels} {house.folder}",
            "PIP_CONSTRAINT": str(house.constraints),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_COMPILE": "0",  # half of the time; most modules are not imported
            "PIP_ROOT_USER_ACTION": "ignore",
        }
        script = folder / "bin" / "pip"  # Debian's Python cannot give an environment a pip of its own
        script.write_text(f'#!/bin/sh\nexec {" ".join(_pip_command())} --python {self.python} "$@"\n')
        script.chmod(0o755)

    def install(self, *requirements: str) -> None:
        """Install packages by name or file, with what they need. Raises DistributionError."""
        _check(self.run("pip", "install", "--quiet", *requirements))

    def run(
        self, *command: str, variables: Mapping[str, str] | None = None, folder: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment, or of the system, by default in the environment's folder."""
        return subprocess.run(
            command,
            cwd=folder or self.python.parents[1],
            env=self.variables | dict(variables or {}),
            capture_output=True,
            text=True,
            check=False,
        )

    def packages(self) -> dict[str, str]:
        """Return the names and versions of what is installed."""
        listed = _check(self.run("pip", "list", "--format", "freeze"))
        return dict(line.split("==") for line in listed.splitlines())


def _requirements(file: str) -> dict[str, str]:
    """Return the pins of a requirements file, with their hashes, by name."""
    blocks = re.split(r"^(?=[a-z0-9])", (CHECKOUT / file).read_text(), flags=re.MULTILINE)[1:]
    return {block.split("==")[0]: block for block in blocks}


def _pip_command() -> list[str]:
    """pip of the environment that runs this program; devtools/environment.sh says when it is a file."""
    files = sorted(Path(sys.prefix).glob("pip-*.whl"))
    return [sys.executable, str(files[0] / "pip")] if files else [sys.executable, "-m", "pip"]


def pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pip, which acts on the environment that runs this program unless an argument says otherwise."""
    return subprocess.run([*_pip_command(), "--no-input", *arguments], capture_output=True, text=True, check=False)


def _check(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode:
        raise DistributionError(f"{' '.join(map(str, done.args))}:\n{done.stdout}{done.stderr}")
    return done.stdout
