"""A copy of this checkout for the mutants: the checkout itself is never changed."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
COPIED = (
    "charts", "devtools", "docs", "faults", "loadtest", "operator", "services", "tests", "warren", "pyproject.toml",
)  # fmt: skip
"""Files that tests read, without git's folder, the environment and caches."""
_NOT_COPIED = shutil.ignore_patterns("__pycache__", "*.pyc", ".*_cache", "node_modules")


def copy_to(folder: Path) -> Path:
    """Copy the working tree, including uncommitted changes."""
    for name in COPIED:
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=_NOT_COPIED)
        else:
            shutil.copy2(source, folder / name)
    return folder


@contextmanager
def changed(sources: Mapping[Path, str]) -> Iterator[None]:
    """Give files this content within the block."""
    before = {path: path.read_text() for path in sources}
    try:
        _write(sources)
        yield
    finally:
        _write(before)


def _write(sources: Mapping[Path, str]) -> None:
    for path, text in sources.items():
        path.write_text(text)
        # Python recognises an outdated cached file by seconds and size alone, and both may be the same.
        for cached in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            cached.unlink()
