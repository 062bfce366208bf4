"""Credentials of broker users in Kubernetes Secrets: the engine's `CredentialStore`.

A Secret that this operator creates is owned by the Topology and is deleted with it. A Secret that another
program created gets a password only if it has none, and never gets an owner.
"""

import base64
from collections.abc import Mapping
from typing import Any

from broker_topology.credentials.directory import without_line_end
from broker_topology.credentials.secrets import SecretContents
from broker_topology.errors import SecretError
from broker_topology.resource.model import API_VERSION, KIND
from topology_operator.errors import Conflict, Forbidden, KubernetesError
from topology_operator.kubernetes.api import KubernetesApi
from topology_operator.kubernetes.objects import (
    GROUP,
    Object,
    ObjectReference,
    ObservedVersions,
    decode_secret,
    version_of,
)

MAX_LABEL = 63
MANAGED_BY = {"app.kubernetes.io/managed-by": "topology-operator", "app.kubernetes.io/part-of": "warren"}
TOPOLOGY_LABEL = f"{GROUP}/topology"
"""Label of a generated Secret: the name of its Topology."""


class KubernetesSecretStore:
    """The Secrets of one Topology, in its namespace."""

    def __init__(self, kubernetes: KubernetesApi, owner: Mapping[str, Any]) -> None:
        self._kubernetes = kubernetes
        self._owner = owner["metadata"]
        self.observed: ObservedVersions = {}
        """Every Secret that was read."""
        self.generated: list[str] = []
        """Names of the Secrets that got a new password."""

    async def contents(self, secret_name: str) -> SecretContents:
        """Returns all text values, without a line end, and the version; both empty if there is no such Secret."""
        held = await self._get(secret_name)
        return SecretContents() if held is None else SecretContents(_texts(held), str(version_of(held)))

    async def replace(self, secret_name: str, data: Mapping[str, str], version: str) -> bool:
        """Replaces all text values that differ. Returns False if the Secret has changed since `version`."""
        before: Mapping[str, str] = {}
        if version:
            held = await self._get(secret_name)
            if held is None or version_of(held) != version:
                return False
            before = _texts(held)
        changed: dict[str, str | None] = {
            key: _encode(value) for key, value in data.items() if before.get(key) != value
        }
        changed |= dict.fromkeys(before.keys() - data.keys())
        stored = await self._store(secret_name, changed, version or None)
        if stored and not before.get("password"):
            self.generated.append(secret_name)
        return stored

    async def keep(self, secret_name: str) -> None:
        """Removes this Topology as the owner, so that the Secret outlives it as its user does."""
        held = await self._get(secret_name)
        owners = held["metadata"].get("ownerReferences") or [] if held is not None else []
        others = [each for each in owners if each["uid"] != self._owner["uid"]]
        if others != owners:
            metadata = {"ownerReferences": others, "resourceVersion": version_of(held)}
            await self._kubernetes.patch(self._reference(secret_name).path, {"metadata": metadata})

    def _reference(self, secret_name: str) -> ObjectReference:
        return ObjectReference("Secret", self._owner["namespace"], secret_name)

    async def _get(self, secret_name: str) -> Object | None:
        reference = self._reference(secret_name)
        self.observed[reference] = None
        try:
            held = await self._kubernetes.get(reference.path)
        except Forbidden as exc:
            raise SecretError(f"secret {secret_name} cannot be read: {exc}") from exc
        self.observed[reference] = version_of(held)
        return held

    async def _store(self, name: str, data: Mapping[str, str | None], version: str | None) -> bool:
        """Creates the Secret if `version` is None, else patches it. Returns False if another writer was faster."""
        reference = self._reference(name)
        try:
            if version is None:
                await self._kubernetes.create(reference.collection, self._new(name, data))
                return True
            body = {"metadata": {"resourceVersion": version}, "data": dict(data)}
            return await self._kubernetes.patch(reference.path, body) is not None
        except Conflict:
            return False
        except KubernetesError as exc:
            raise SecretError(f"secret {name} cannot be written: {exc}") from exc

    def _new(self, name: str, data: Mapping[str, str | None]) -> Object:
        owner = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": self._owner["name"],
            "uid": self._owner["uid"],
            "controller": True,
            "blockOwnerDeletion": False,  # true needs a right on the finalizers of Topologies
        }
        labels = {**MANAGED_BY, TOPOLOGY_LABEL: self._owner["name"][:MAX_LABEL].rstrip("-.")}
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "Opaque",
            "metadata": {"name": name, "labels": labels, "ownerReferences": [owner]},
            "data": dict(data),
        }


def _texts(held: Object) -> dict[str, str]:
    """Decodes a Secret's values as a process reads them from mounted files: without the line end."""
    return {key: without_line_end(text) for key, text in decode_secret(held).items()}


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
