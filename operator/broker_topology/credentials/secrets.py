"""The stores of passwords.

A user names its Secret, and a store holds it: a folder (here), or Kubernetes (the operator). A generated credential is
stored before it is sent to the broker, so after a crash the next run uses it.
"""

import contextlib
import hmac
import os
import re
import secrets
from pathlib import Path
from typing import Protocol

import msgspec

from broker_topology.credentials.passwords import WRITTEN_ALGORITHM, hash_password, is_password
from broker_topology.errors import SecretError

PASSWORD_BYTES = 32


class Credentials(msgspec.Struct, frozen=True):
    """A user name with a password, or with RabbitMQ's hash of one. Without both, it cannot log in."""

    username: str
    password: str = ""
    password_hash: str = ""
    hashing_algorithm: str = ""
    """The algorithm of `password_hash`, with the management API's name; the default is SHA-256."""

    def fits(self, observed_hash: str, algorithm: str) -> bool:
        """Whether the broker's hash belongs to this credential."""
        if self.password:
            return is_password(self.password, observed_hash, algorithm)
        same_algorithm = not self.password_hash or self.hashing_algorithm in {"", algorithm}
        return same_algorithm and hmac.compare_digest(self.password_hash.encode(), observed_hash.encode())

    @property
    def written_algorithm(self) -> str:
        """The algorithm of the hash that `hashed` returns."""
        return self.hashing_algorithm if self.hashing_algorithm and not self.password else WRITTEN_ALGORITHM

    def hashed(self) -> str:
        """The hash that is sent to the broker; the password is never sent."""
        return hash_password(self.password) if self.password else self.password_hash

    def __repr__(self) -> str:
        return f"Credentials(username={self.username!r}, password=…)"

    __str__ = __repr__


def generate(username: str) -> Credentials:
    """Credentials of this user with a new random password."""
    return Credentials(username, secrets.token_urlsafe(PASSWORD_BYTES))


class SecretStore(Protocol):
    """Holds one user name and password under each secret name."""

    async def read(self, secret_name: str) -> Credentials | None:
        """The credential, or None if it has no password yet. Raises `SecretError` when it is unusable."""

    async def write(self, secret_name: str, credentials: Credentials) -> None:
        """Stores a new credential. An existing one is kept. Raises `SecretError` when it cannot be written."""


async def stored(store: SecretStore, secret_name: str, name: str) -> Credentials | None:
    """The stored credential of the user `name` of the topology, or of one of its generations.

    Raises `SecretError` when it belongs to another user.
    """
    credentials = await store.read(secret_name)
    if credentials is not None and not re.fullmatch(rf"{re.escape(name)}(\.[0-9]+)?", credentials.username):
        raise SecretError(
            f"secret {secret_name} belongs to user {credentials.username}, but the topology names it for {name}"
        )
    return credentials


async def ensured(store: SecretStore, secret_name: str, name: str, first: str | None = None) -> Credentials:
    """As `stored`; a missing credential is generated first, for user name `first`.

    The credential is read back, so two concurrent runs use the same one.
    """
    if (credentials := await stored(store, secret_name, name)) is not None:
        return credentials
    await store.write(secret_name, generate(first or name))
    if (credentials := await stored(store, secret_name, name)) is None:
        raise SecretError(f"secret {secret_name} was deleted while it was written")
    return credentials


class SecretDirectory:
    """`<folder>/<secret name>/{username,password}` as in a mounted Secret, readable by the owner only.

    `passwordHash` and `hashingAlgorithm` may replace `password`.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)

    async def read(self, secret_name: str) -> Credentials | None:
        folder = self._folder / secret_name
        password = _read(folder / "password")
        password_hash = _read(folder / "passwordHash") if password is None else None
        if password is None and password_hash is None:  # a crash can leave a user name alone
            return None
        username = _read(folder / "username")
        if password == "" or not username:  # an empty passwordHash is a user without a password
            missing = "username" if password != "" else "password"
            raise SecretError(f"secret {secret_name}: {folder / missing} is missing or empty")
        algorithm = _read(folder / "hashingAlgorithm") if password is None else None
        return Credentials(username, password or "", password_hash or "", algorithm or "")

    async def write(self, secret_name: str, credentials: Credentials) -> None:
        folder = self._folder / secret_name
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # the password last: a reader that finds it also finds the user name
            _create(folder / "username", credentials.username)
            if credentials.password:
                _create(folder / "password", credentials.password)
            else:
                if credentials.hashing_algorithm:
                    _create(folder / "hashingAlgorithm", credentials.hashing_algorithm)
                _create(folder / "passwordHash", credentials.password_hash)
        except OSError as exc:
            raise SecretError(f"secret {secret_name} cannot be written: {exc}") from exc


def without_line_end(text: str) -> str:
    """Removes one line break at the end, which editors and `echo` add. Blanks are part of a password.

    The services read their credentials in the same way (`warren_messaging/amqp/connection.py`).
    """
    return text.removesuffix("\n").removesuffix("\r")


def read_text(file: Path) -> str:
    """Reads a name or a password. Raises `OSError`, `UnicodeDecodeError`."""
    return without_line_end(file.read_bytes().decode())


def _read(file: Path) -> str | None:
    try:
        return read_text(file)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as exc:
        raise SecretError(f"{file} cannot be read: {exc}") from exc


def _create(file: Path, text: str) -> None:
    """Creates a complete private file, or none. An existing file is kept."""
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
            handle.write(text)
        with contextlib.suppress(FileExistsError):
            file.hardlink_to(draft)  # a rename would overwrite
    finally:
        draft.unlink(missing_ok=True)
