"""Removes what this checkout keeps in the cache folder: its instances, stopped first.

    python -m warren.local.clean

Runs without the environment, on the standard library alone. What all checkouts share stays, and is named.
"""

import shutil
import sys
from pathlib import Path

from warren.local.errors import LocalError
from warren.local.instance import Instance
from warren.local.paths import CHECKOUT, instance_dir, roots_dir


def instance_names(checkout: Path = CHECKOUT) -> list[str]:
    """The names of the checkout's instances that have a folder."""
    pattern = instance_dir("*", checkout)
    ending = pattern.name.removeprefix("*")
    return sorted(folder.name.removesuffix(ending) for folder in pattern.parent.glob(pattern.name))


def clean(checkout: Path = CHECKOUT) -> list[Path]:
    """Stop and remove every instance of the checkout; returns the folders that are gone. Raises LocalError."""
    removed = []
    for name in instance_names(checkout):
        instance = Instance(name, checkout=checkout)
        instance.stop()
        try:
            shutil.rmtree(instance.dir)
        except OSError as error:
            raise LocalError(f"{instance.dir} cannot be removed: {error.strerror}: {error.filename}") from error
        removed.append(instance.dir)
    return removed


def main() -> None:
    try:
        for folder in clean():
            print(f"removed {folder}")
    except LocalError as error:
        sys.exit(f"clean: {error}")
    if roots_dir().is_dir():
        print(f"kept {roots_dir()}, which all checkouts share; to remove it: rm -rf {roots_dir()}")


if __name__ == "__main__":
    main()
