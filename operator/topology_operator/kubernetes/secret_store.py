"""Users' credentials in Kubernetes Secrets, as the engine's `RotatingStore`.

A Secret this operator makes belongs to the Topology (it goes with it) and carries labels. One that somebody else made
is only completed where it has no password, and never gets an owner.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from broker_topology.credentials.secrets import Credentials, without_line_end
from broker_topology.errors import SecretError
from broker_topology.rotation.versioned_secrets import SecretContents
from topology_operator.broker.resolver import ObservedVersions, decoded, secret, version_of
from topology_operator.errors import Conflict, Forbidden, KubernetesError
from topology_operator.kubernetes.api import KubernetesApi, Object, path_of
from topology_operator.kubernetes.identifiers import API_VERSION, MANAGED_BY, TOPOLOGY_LABEL

MAX_LABEL = 63


class KubernetesSecretStore:
    """The Secrets of one Topology, in its namespace. `seen` has each that was asked for, `made` those it wrote."""

    def __init__(self, kubernetes: KubernetesApi, owner: Mapping[str, Any]) -> None:
        self._kubernetes = kubernetes
        self._metadata = owner["metadata"]
        self.seen: ObservedVersions = {}
        self.made: list[str] = []

    async def read(self, secret_name: str) -> Credentials | None:
        held = await self._get(secret_name)
        if held is None:
            return None
        data = _texts(held)
        password, password_hash = data.get("password", ""), data.get("passwordHash")
        if not password and password_hash is None:  # an empty passwordHash is a user without a password
            return None
        if not data.get("username"):
            raise SecretError(f"secret {secret_name} has a password and no username")
        if password:
            return Credentials(data["username"], password)
        return Credentials(data["username"], "", password_hash or "", data.get("hashingAlgorithm", ""))

    async def write(self, secret_name: str, credentials: Credentials) -> None:
        """Creates the Secret, or completes one without a password. Of two writers at once the first one wins."""
        data = {"username": _encoded(credentials.username), "password": _encoded(credentials.password)}
        try:
            held = await self._get(secret_name)
            if held is None:
                await self._kubernetes.create(self._collection, self._new(secret_name, data))
            elif not decoded(held).get("password"):
                version = held["metadata"]["resourceVersion"]
                await self._kubernetes.patch(
                    secret(self._namespace, secret_name).path,
                    {"metadata": {"resourceVersion": version}, "data": data},
                )
        except Conflict:
            return  # the other one's credential is read back
        except KubernetesError as exc:
            raise SecretError(f"secret {secret_name} cannot be written: {exc}") from exc
        self.made.append(secret_name)

    async def contents(self, secret_name: str) -> SecretContents:
        """Everything that is text in it, and its version; nothing of either when there is none."""
        held = await self._get(secret_name)
        return SecretContents() if held is None else SecretContents(_texts(held), str(version_of(held)))

    async def replace(self, secret_name: str, data: Mapping[str, str], version: str) -> bool:
        """Makes this all the text that the Secret holds, unless it has changed since `version`."""
        named = secret(self._namespace, secret_name)
        encoded: dict[str, str | None] = {key: _encoded(value) for key, value in data.items()}
        try:
            if not version:
                await self._kubernetes.create(self._collection, self._new(secret_name, encoded))
                self.made.append(secret_name)
                return True
            held = await self._get(secret_name)
            if held is None or version_of(held) != version:
                return False
            gone = {key: None for key in decoded(held) if key not in data}
            body = {"metadata": {"resourceVersion": version}, "data": {**encoded, **gone}}
            return await self._kubernetes.patch(named.path, body) is not None
        except Conflict:
            return False
        except KubernetesError as exc:
            raise SecretError(f"secret {secret_name} cannot be written: {exc}") from exc

    async def keep(self, secret_name: str) -> None:
        """Lets a generated Secret outlive its Topology: the user it belongs to does."""
        held = await self._get(secret_name)
        mine = self._metadata["uid"]
        if held is None or mine not in {each["uid"] for each in held["metadata"].get("ownerReferences") or []}:
            return
        others = [each for each in held["metadata"]["ownerReferences"] if each["uid"] != mine]
        body = {"metadata": {"ownerReferences": others, "resourceVersion": held["metadata"]["resourceVersion"]}}
        await self._kubernetes.patch(secret(self._namespace, secret_name).path, body)

    async def _get(self, secret_name: str) -> Object | None:
        named = secret(self._namespace, secret_name)
        self.seen[named] = None
        try:
            held = await self._kubernetes.get(named.path)
        except Forbidden as exc:
            raise SecretError(f"secret {secret_name} cannot be read: {exc}") from exc
        self.seen[named] = version_of(held)
        return held

    @property
    def _namespace(self) -> str:
        return str(self._metadata["namespace"])

    @property
    def _collection(self) -> str:
        return path_of("v1", "secrets", self._namespace)

    def _new(self, name: str, data: Mapping[str, str | None]) -> Object:
        owner = self._metadata
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "Opaque",
            "metadata": {
                "name": name,
                "labels": {**MANAGED_BY, TOPOLOGY_LABEL: owner["name"][:MAX_LABEL].rstrip("-.")},
                "ownerReferences": [
                    {
                        "apiVersion": API_VERSION,
                        "kind": "Topology",
                        "name": owner["name"],
                        "uid": owner["uid"],
                        "controller": True,
                        # true would need a right on the finalizers of Topologies
                        "blockOwnerDeletion": False,
                    }
                ],
            },
            "data": dict(data),
        }


def _texts(held: Object) -> dict[str, str]:
    """As a process reads them from the mounted files."""
    return {key: without_line_end(text) for key, text in decoded(held).items()}


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
