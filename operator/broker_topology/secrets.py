"""Where passwords come from.

A user names its Secret; a store holds it. The engine asks only two things of a store, so that a folder (here) and
Kubernetes Secrets (the operator) are interchangeable. A generated credential is stored before the broker learns it: a
crash in between leaves a credential that the next run imports, never a user whose password nobody knows.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import Protocol

import msgspec

from broker_topology.errors import SecretError

PASSWORD_BYTES = 32


class Credentials(msgspec.Struct, frozen=True):
    username: str
    password: str

    def __repr__(self) -> str:
        return f"Credentials(username={self.username!r}, password=…)"

    __str__ = __repr__


def generate(username: str) -> Credentials:
    """A new random password for this user."""
    return Credentials(username, secrets.token_urlsafe(PASSWORD_BYTES))


class SecretStore(Protocol):
    """Holds one username and password under each secret name."""

    async def read(self, secret_name: str) -> Credentials | None:
        """The credential, or None when there is no password yet. Raises `SecretError` when it is unusable."""

    async def write(self, secret_name: str, credentials: Credentials) -> None:
        """Stores a new credential, never over one that is already there. Raises `SecretError` when it cannot."""


async def stored(store: SecretStore, secret_name: str, username: str) -> Credentials | None:
    """What the store holds for this user. Raises `SecretError` when it is another user's."""
    credentials = await store.read(secret_name)
    if credentials is not None and credentials.username != username:
        raise SecretError(
            f"secret {secret_name} belongs to user {credentials.username}, but the topology names it for {username}"
        )
    return credentials


async def ensured(store: SecretStore, secret_name: str, username: str) -> Credentials:
    """What the store holds for this user, after generating it where missing.

    Reads back what it wrote: of two runs at once both use the credential that won.
    """
    if (credentials := await stored(store, secret_name, username)) is not None:
        return credentials
    await store.write(secret_name, generate(username))
    if (credentials := await stored(store, secret_name, username)) is None:
        raise SecretError(f"secret {secret_name} was written and is gone again")
    return credentials


class SecretDirectory:
    """`<folder>/<secret name>/{username,password}`, readable by the owner only: the shape of a mounted Secret."""

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)

    async def read(self, secret_name: str) -> Credentials | None:
        folder = self._folder / secret_name
        password = _read(folder / "password")
        if password is None:  # a user name alone is what a crash between the two files leaves
            return None
        username = _read(folder / "username")
        if not password or not username:
            missing = "username" if password else "password"
            raise SecretError(f"secret {secret_name}: {folder / missing} is missing or empty")
        return Credentials(username, password)

    async def write(self, secret_name: str, credentials: Credentials) -> None:
        folder = self._folder / secret_name
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # the password last: a reader that finds it finds both
            _create(folder / "username", credentials.username)
            _create(folder / "password", credentials.password)
        except OSError as exc:
            raise SecretError(f"secret {secret_name} cannot be written: {exc}") from exc


def _read(file: Path) -> str | None:
    try:
        # one line break at the end is what an editor or `echo` adds, never part of a password
        return file.read_text(encoding="utf-8").removesuffix("\n")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as exc:
        raise SecretError(f"{file} cannot be read: {exc}") from exc


def _create(file: Path, text: str) -> None:
    """Appears complete and private, or not at all. An existing file stays as it is."""
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            handle.write(text)
        with contextlib.suppress(FileExistsError):
            file.hardlink_to(draft)  # a rename would overwrite
    finally:
        draft.unlink(missing_ok=True)
