"""Stops and removes the instances of this checkout in the cache folder.

    python -m devtools.local.clean

Runs without .venv, with the standard library only. Folders that all checkouts share are kept and listed.
"""

import shutil
import sys
from pathlib import Path

from devtools.errors import LocalError
from devtools.local.instance import Instance
from devtools.paths import CHECKOUT, instance_dir, roots_dir


def instance_names(checkout: Path = CHECKOUT) -> list[str]:
    """Return the names of the checkout's instances that have a folder."""
    pattern = instance_dir("*", checkout)
    ending = pattern.name.removeprefix("*")
    return sorted(folder.name.removesuffix(ending) for folder in pattern.parent.glob(pattern.name))


def clean(checkout: Path = CHECKOUT) -> list[Path]:
    """Stop and remove every instance of the checkout; returns the removed folders. Raises LocalError."""
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
    """Return the cache folders that do not belong to an instance: roots of servers, tools of tests."""
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
        print(f"kept {folder} ({_megabytes(folder)} MB), shared by all checkouts; to remove it: rm -rf {folder}")


if __name__ == "__main__":
    main()
