"""The library and the engine as installed packages; everything else comes from the checkout."""

import sys
import sysconfig
import tempfile
import venv
from collections.abc import Iterable
from pathlib import Path

from devtools.distributions.build import FOLDERS, DistributionError, build_wheels
from devtools.distributions.environment import pip
from tests.module_origins import VARIABLE


class InstalledPackages:
    """An environment in `folder` that has the wheels of `tree`, and the packages of the environment that runs this.

    A `.pth` file names the folder with those packages. Python does not read `.pth` files in there, so the editable
    installation of the checkout has no effect.
    """

    def __init__(self, folder: Path, tree: Path) -> None:
        self._folder = folder
        self._tree = tree
        self.python = folder / "bin" / "python"
        venv.create(folder, with_pip=False, symlinks=True)
        (site,) = (folder / "lib").glob("python*/site-packages")
        (site / "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
        (folder / "bin" / "dbmate").symlink_to(Path(sys.prefix, "bin", "dbmate"))  # looked for beside the interpreter
        self.install()

    @property
    def variables(self) -> dict[str, str]:
        return {VARIABLE: str(self._folder)}

    def install(self, names: Iterable[str] = FOLDERS) -> None:
        """Build the wheels of the tree as it is now, and install them. Raises DistributionError."""
        with tempfile.TemporaryDirectory(prefix="warren-dist-") as wheels:
            files = build_wheels(Path(wheels), self._tree, names)
            options = ("--quiet", "--no-index", "--no-deps", "--force-reinstall")
            done = pip("--python", str(self.python), "install", *options, *map(str, files))
            if done.returncode:
                raise DistributionError(f"pip install:\n{done.stdout}{done.stderr}")
