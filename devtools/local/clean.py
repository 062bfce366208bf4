"""Removes what this checkout keeps in the cache folder: its instances, stopped first.

    python -m devtools.local.clean

Runs without the environment, on the standard library alone. What all checkouts share stays, and is named.
"""

import shutil
import sys
from pathlib import Path

from devtools.errors import LocalError
from devtools.local.instance import Instance
from devtools.paths import CHECKOUT, instance_dir, roots_dir


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


def shared_folders() -> list[Path]:
    """What the cache holds besides instances: servers' roots, tools of the tests."""
    cache = roots_dir().parent
    found = [folder for folder in cache.iterdir() if folder.is_dir()] if cache.is_dir() else []
    return sorted(folder for folder in found if folder != instance_dir("any").parent)


def _megabytes(folder: Path) -> int:
    sizes = [file.lstat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink()]
    return round(sum(sizes) / 10**6)


def main() -> None:
    try:
        for folder in clean():
            print(f"removed {folder}")
    except LocalError as error:
        sys.exit(f"clean: {error}")
    for folder in shared_folders():
        print(f"kept {folder} ({_megabytes(folder)} MB), which all checkouts share; to remove it: rm -rf {folder}")


if __name__ == "__main__":
    main()
