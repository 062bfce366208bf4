"""Secrets without a folder: every user at the broker counts as having the right password."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from broker_topology.credentials.secrets import Credentials
from broker_topology.resource.model import LoadedTopology
from broker_topology.rotation.versioned_secrets import SecretContents


class AnyPassword(Credentials, frozen=True):
    """Fits whatever the broker has. Never written."""

    def fits(self, observed_hash: str, algorithm: str) -> bool:
        return True


class UncomparedSecrets:
    """The Secrets of `plan` and `check` without --secrets-dir. Neither command writes one."""

    def __init__(self, topologies: Iterable[LoadedTopology]) -> None:
        self._names = {
            user.secret_name: name for item in topologies for name, user in item.spec.users.items() if user.secret_name
        }

    async def read(self, secret_name: str) -> Credentials | None:
        return AnyPassword(self._names[secret_name])

    async def write(self, secret_name: str, credentials: Credentials) -> None:
        raise NotImplementedError

    async def contents(self, secret_name: str) -> SecretContents:
        return SecretContents()

    async def replace(self, secret_name: str, data: Mapping[str, str], version: str) -> bool:
        raise NotImplementedError
