"""Credentials and the stores of their Secrets.

A user names its Secret, and a store holds it: a folder (`directory`), or Kubernetes (the operator). A generated
credential is stored before it is sent to the broker, so after a crash the next run uses it.
"""

import hmac
import re
import secrets
from collections.abc import Mapping
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
        """Returns whether the broker's hash belongs to this credential."""
        if self.password:
            return is_password(self.password, observed_hash, algorithm)
        same_algorithm = not self.password_hash or self.hashing_algorithm in {"", algorithm}
        return same_algorithm and hmac.compare_digest(self.password_hash.encode(), observed_hash.encode())

    @property
    def written_algorithm(self) -> str:
        """The algorithm of the hash that `hashed` returns."""
        return self.hashing_algorithm if self.hashing_algorithm and not self.password else WRITTEN_ALGORITHM

    def hashed(self) -> str:
        """Returns the hash that is sent to the broker; the password is never sent."""
        return hash_password(self.password) if self.password else self.password_hash

    def data(self, prefix: str = "") -> dict[str, str]:
        """Returns the entries of a Secret, each with this prefix in front of its name."""
        secret = {"password": self.password} if self.password else {"passwordHash": self.password_hash}
        algorithm = {"hashingAlgorithm": self.hashing_algorithm} if self.hashing_algorithm else {}
        return {f"{prefix}{name}": text for name, text in ({"username": self.username} | secret | algorithm).items()}

    def __repr__(self) -> str:
        return f"Credentials(username={self.username!r}, password=…)"

    __str__ = __repr__


def credentials_in(secret_name: str, data: Mapping[str, str]) -> Credentials | None:
    """Returns the credential in a Secret; None without a password. Raises `SecretError` if it has no user name."""
    password, password_hash = data.get("password", ""), data.get("passwordHash")
    if not password and password_hash is None:  # an empty passwordHash is a user without a password
        return None
    if not data.get("username"):
        raise SecretError(f"secret {secret_name}: username is missing or empty")
    if password:
        return Credentials(data["username"], password)
    return Credentials(data["username"], "", password_hash or "", data.get("hashingAlgorithm", ""))


def generate(username: str) -> Credentials:
    """Credentials of this user with a new random password."""
    return Credentials(username, secrets.token_urlsafe(PASSWORD_BYTES))


class SecretContents(msgspec.Struct, frozen=True):
    """A Secret as it was read. Both fields are empty if it does not exist."""

    data: Mapping[str, str] = {}
    version: str = ""

    def __repr__(self) -> str:
        return f"SecretContents({', '.join(sorted(self.data))})"


class CredentialStore(Protocol):
    """Holds Secrets, and replaces one only if it is unchanged."""

    async def contents(self, secret_name: str) -> SecretContents:
        """Returns the whole Secret. Raises `SecretError` when it cannot be read."""

    async def replace(self, secret_name: str, data: Mapping[str, str], version: str) -> bool:
        """Replaces the whole content atomically for every reader. Returns False, and stores nothing, when the Secret no
        longer has this `version`. Raises `SecretError` when it cannot be written."""


async def stored(store: CredentialStore, secret_name: str, name: str) -> Credentials | None:
    """Returns the stored credential of the user `name` of the topology, or of one of its generations.

    Raises `SecretError` when it belongs to another user.
    """
    credentials = credentials_in(secret_name, (await store.contents(secret_name)).data)
    if credentials is not None:
        check_account(secret_name, name, credentials)
    return credentials


def is_account_of(name: str, username: str) -> bool:
    """Returns whether a user at the broker is the user `name` of a topology, or a generation of it."""
    return re.fullmatch(rf"{re.escape(name)}(\.[0-9]+)?", username) is not None


def check_account(secret_name: str, name: str, credentials: Credentials) -> None:
    """Raises `SecretError` if a credential in the Secret is not of the user `name` of the topology."""
    if not is_account_of(name, credentials.username):
        raise SecretError(
            f"secret {secret_name} belongs to user {credentials.username}, but the topology names it for {name}"
        )


async def store_if_missing(store: CredentialStore, secret_name: str, credentials: Credentials) -> Credentials | None:
    """Stores a credential unless the Secret has one. The result is read back, so concurrent runs get the same one."""
    contents = await store.contents(secret_name)
    if (found := credentials_in(secret_name, contents.data)) is not None:
        return found
    await store.replace(secret_name, {**contents.data, **credentials.data()}, contents.version)
    return credentials_in(secret_name, (await store.contents(secret_name)).data)


async def ensured(store: CredentialStore, secret_name: str, name: str, first: str | None = None) -> Credentials:
    """Returns what `stored` returns, but generates a missing credential first, with the user name `first`."""
    await store_if_missing(store, secret_name, generate(first or name))
    if (credentials := await stored(store, secret_name, name)) is None:
        raise SecretError(f"secret {secret_name} was deleted while it was written")
    return credentials
