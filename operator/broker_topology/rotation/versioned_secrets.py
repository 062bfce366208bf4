"""Secrets that can be replaced as a whole, for rotation."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import msgspec

from broker_topology.credentials.secrets import SecretDirectory, SecretStore, read_text
from broker_topology.errors import SecretError

DATA = "..data"
"""What Kubernetes calls the link to the folder with the present files of a mounted Secret."""


class SecretContents(msgspec.Struct, frozen=True):
    """A Secret as it was read. Without data and version: there is none."""

    data: Mapping[str, str] = {}
    version: str = ""

    def __repr__(self) -> str:
        return f"Contents({', '.join(sorted(self.data))})"


class VersionedSecretStore(SecretStore, Protocol):
    """A store that can replace what it holds."""

    async def contents(self, secret_name: str) -> SecretContents:
        """All of a Secret. Raises `SecretError` when it cannot be read."""

    async def replace(self, secret_name: str, data: Mapping[str, str], version: str) -> bool:
        """Stores `data` in place of everything, at once, for every reader. False, and nothing stored, when the Secret
        is no longer as in `version`. Raises `SecretError` when it cannot."""


class VersionedSecretDirectory(SecretDirectory):
    """`<folder>/<secret name>` in the shape of a Secret that Kubernetes has mounted: the files are links through one
    link, and replacing that link replaces them all at the same moment."""

    async def contents(self, secret_name: str) -> SecretContents:
        return await asyncio.to_thread(self._contents, secret_name)

    async def replace(self, secret_name: str, data: Mapping[str, str], version: str) -> bool:
        return await asyncio.to_thread(self._replace, secret_name, data, version)

    def _contents(self, secret_name: str) -> SecretContents:
        folder = self._folder / secret_name
        try:
            present = (folder / DATA).resolve(strict=True) if (folder / DATA).exists() else folder
            files = sorted(each for each in present.iterdir() if each.is_file() and not each.name.startswith("."))
            data = {each.name: read_text(each) for each in files}
        except FileNotFoundError:
            return SecretContents()
        except (OSError, UnicodeDecodeError) as exc:
            raise SecretError(f"secret {secret_name} cannot be read: {exc}") from exc
        return SecretContents(data, _version(data)) if data else SecretContents()

    def _replace(self, secret_name: str, data: Mapping[str, str], version: str) -> bool:
        folder = self._folder / secret_name
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _locked(self._folder / f".{secret_name}.lock"):
                there = self._contents(secret_name)
                if there.version != version:
                    return False
                if there.data and not (folder / DATA).exists():
                    _swap(folder, there.data)  # the shape first, with what is in it: no reader sees a mixture
                _swap(folder, data)
        except OSError as exc:
            raise SecretError(f"secret {secret_name} cannot be written: {exc}") from exc
        return True


def _swap(folder: Path, data: Mapping[str, str]) -> None:
    """Makes `data` the files of the folder, all at once."""
    former = (folder / DATA).resolve() if (folder / DATA).exists() else None
    present = folder / f"..{secrets.token_hex(6)}"
    present.mkdir(mode=0o700)
    for name, text in data.items():
        descriptor = os.open(present / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
    _link(folder / DATA, present.name)
    for name in data:
        if not (folder / name).is_symlink():
            _link(folder / name, f"{DATA}/{name}")
    for each in folder.iterdir():
        if each.is_symlink() and each.name != DATA and each.name not in data:
            each.unlink()
    if former is not None:
        shutil.rmtree(former, ignore_errors=True)


def _link(place: Path, target: str) -> None:
    """Takes the place of whatever is there, in one step."""
    draft = place.with_name(f"..{place.name}.{secrets.token_hex(4)}")
    draft.symlink_to(target)
    draft.replace(place)


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    with file.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _version(data: Mapping[str, str]) -> str:
    return hashlib.sha256(msgspec.json.encode(dict(sorted(data.items())))).hexdigest()
