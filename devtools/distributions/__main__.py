"""python -m devtools.distributions: build the distributions into dist/ and check them."""

import argparse
import sys
import tempfile
from pathlib import Path

from devtools.distributions.build import EXTRAS, FOLDERS, DistributionError, build, check_metadata, check_reproducible
from devtools.distributions.environment import EmptyEnvironment
from devtools.distributions.installed import check_installed
from devtools.paths import CHECKOUT


def check_in_empty_environments(wheels: Path) -> None:
    """Install each distribution into an environment of its own, and with its extras; print what it needs."""
    for name in FOLDERS:
        with tempfile.TemporaryDirectory(prefix="warren-dist-") as folder:
            environment = EmptyEnvironment(Path(folder) / "plain", wheels)
            environment.install(name)
            modules = check_installed(environment, name, EXTRAS[name].values())
            needed = ", ".join(sorted(environment.packages().keys() - {name}))
            print(f"{name}: {len(modules)} modules imported; needs {needed}")
            environment = EmptyEnvironment(Path(folder) / "extra", wheels)
            extras = f"{name}[{','.join(EXTRAS[name])}]"
            environment.install(extras)
            print(f"{extras}: {len(check_installed(environment, name))} modules imported")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m devtools.distributions",
        description="Build wheel and source archive of each distribution, and check them as an index and a user would.",
    )
    parser.add_argument("--directory", type=Path, default=CHECKOUT / "dist", help="default: dist/ in the checkout")
    options = parser.parse_args()
    try:
        files = build(options.directory)
        check_metadata(files)
        check_reproducible(files)
        check_in_empty_environments(options.directory)
    except DistributionError as error:
        print(f"devtools.distributions: {error}", file=sys.stderr)
        return 1
    for file in files:
        print(f"{file} ({file.stat().st_size // 1000} kB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
