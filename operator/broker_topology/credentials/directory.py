"""Secrets in a folder."""

import asyncio
import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from broker_topology.credentials.secrets import SecretContents
from broker_topology.errors import SecretError

DATA = "..data"
"""Kubernetes' name of the link to the folder with the current files of a mounted Secret."""


class SecretDirectory:
    """`<folder>/<secret name>/{username,password,…}`, readable by the owner only, as in a mounted Kubernetes Secret.

    The files of a replaced Secret are links through one link, and replacing that link replaces all of them at once.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)

    async def contents(self, secret_name: str) -> SecretContents:
        return await asyncio.to_thread(self._contents, secret_name)

    async def replace(self, secret_name: str, data: Mapping[str, str], version: str) -> bool:
        return await asyncio.to_thread(self._replace, secret_name, data, version)

    def _contents(self, secret_name: str) -> SecretContents:
        folder = self._folder / secret_name
        try:
            current = (folder / DATA).resolve(strict=True) if (folder / DATA).exists() else folder
            files = sorted(each for each in current.iterdir() if each.is_file() and not each.name.startswith("."))
            data = {each.name: read_text(each) for each in files}
        except FileNotFoundError:
            return SecretContents()
        except (OSError, UnicodeDecodeError) as exc:
            raise SecretError(f"secret {secret_name} cannot be read: {exc}") from exc
        if data.get("password") == "":
            raise SecretError(f"secret {secret_name}: {folder / 'password'} is missing or empty")
        return SecretContents(data, _version(data)) if data else SecretContents()

    def _replace(self, secret_name: str, data: Mapping[str, str], version: str) -> bool:
        folder = self._folder / secret_name
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _locked(self._folder / f".{secret_name}.lock"):
                there = self._contents(secret_name)
                if there.version != version:
                    return False
                if not folder.exists():
                    draft = self._folder / f".{secret_name}.{secrets.token_hex(6)}"
                    _write_files(draft, data)
                    draft.rename(folder)
                    return True
                if there.data and not (folder / DATA).exists():
                    _swap(folder, there.data)  # first the links with the same content: no reader sees a mixture
                _swap(folder, data)
        except OSError as exc:
            raise SecretError(f"secret {secret_name} cannot be written: {exc}") from exc
        return True


def without_line_end(text: str) -> str:
    """Removes one line break at the end, which editors and `echo` add. Blanks are part of a password.

    The services read their credentials in the same way (`warren_messaging/amqp/connection.py`).
    """
    return text.removesuffix("\n").removesuffix("\r")


def read_text(file: Path) -> str:
    """Reads a name or a password. Raises `OSError`, `UnicodeDecodeError`."""
    return without_line_end(file.read_bytes().decode())


def _swap(folder: Path, data: Mapping[str, str]) -> None:
    """Makes `data` the files of the folder, all at once."""
    previous = (folder / DATA).resolve() if (folder / DATA).exists() else None
    current = folder / f"..{secrets.token_hex(6)}"
    _write_files(current, data)
    _link(folder / DATA, current.name)
    for name in data:
        if not (folder / name).is_symlink():
            _link(folder / name, f"{DATA}/{name}")
    for each in folder.iterdir():
        if each.is_symlink() and each.name != DATA and each.name not in data:
            each.unlink()
    if previous is not None:
        shutil.rmtree(previous, ignore_errors=True)


def _write_files(folder: Path, data: Mapping[str, str]) -> None:
    folder.mkdir(mode=0o700)
    for name, text in data.items():
        descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())


def _link(file: Path, target: str) -> None:
    """Replaces `file` by a link, atomically."""
    draft = file.with_name(f"..{file.name}.{secrets.token_hex(4)}")
    draft.symlink_to(target)
    draft.replace(file)


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    with file.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _version(data: Mapping[str, str]) -> str:
    return hashlib.sha256(msgspec.json.encode(dict(sorted(data.items())))).hexdigest()
