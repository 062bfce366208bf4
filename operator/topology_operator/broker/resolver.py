"""`spec.broker` -> address and credentials of a management API.

Everything is read anew for each reconcile, so a renewed certificate or password is used at once. A reference into
another namespace is followed only where its target names the namespaces that may: otherwise whoever may write a
Topology could use every broker's administrator.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
from collections.abc import Mapping
from typing import Any

import msgspec

from broker_topology.resource.fields import BrokerReference, Reference
from topology_operator.broker.connection import (
    MANAGEMENT_PORT,
    MANAGEMENT_TLS_PORT,
    BrokerConnection,
    IncompleteSecret,
    from_secret,
)
from topology_operator.errors import UnresolvedReference
from topology_operator.kubernetes.api import KubernetesApi, Object, path_of
from topology_operator.kubernetes.identifiers import ALLOWED_NAMESPACES, CLUSTER_API, CLUSTER_PLURAL, CONNECTION_URI


class ObjectReference(msgspec.Struct, frozen=True, order=True):
    """One object whose changes matter to a resource."""

    api: str
    plural: str
    namespace: str
    name: str

    @property
    def path(self) -> str:
        return path_of(self.api, self.plural, self.namespace, self.name)


ObservedVersions = dict[ObjectReference, str | None]
"""What was looked at, and the version that was found; None where nothing was."""


def secret(namespace: str, name: str) -> ObjectReference:
    return ObjectReference("v1", "secrets", namespace, name)


class BrokerResolver:
    """Follows the references of one resource. `seen` has every object it looked at, found or not."""

    def __init__(self, kubernetes: KubernetesApi, namespace: str) -> None:
        self._kubernetes = kubernetes
        self._namespace = namespace
        self.seen: ObservedVersions = {}

    async def resolve(self, broker: BrokerReference | None) -> BrokerConnection:
        """Raises `UnresolvedReference` with the word and the sentence for the condition, and `KubernetesError`."""
        if broker is None:
            raise UnresolvedReference("BrokerNotSet", "spec.broker is missing: name a clusterRef or a secretRef")
        if broker.cluster_ref is not None:
            found = await self._cluster(broker.cluster_ref)
        elif broker.secret_ref is not None:
            found = await self._secret(broker.secret_ref)
        else:
            raise UnresolvedReference("BrokerNotSet", "spec.broker names neither a clusterRef nor a secretRef")
        if broker.ca_secret_ref is not None:
            data = await self._data(secret(self._namespace, broker.ca_secret_ref.name))
            found = msgspec.structs.replace(found, ca_data=_needed(data, "ca.crt", broker.ca_secret_ref.name))
        if broker.client_certificate_secret_ref is not None:
            name = broker.client_certificate_secret_ref.name
            data = await self._data(secret(self._namespace, name))
            found = msgspec.structs.replace(
                found, certificate=_needed(data, "tls.crt", name), key=_needed(data, "tls.key", name)
            )
        return found

    async def _secret(self, reference: Reference) -> BrokerConnection:
        named = secret(reference.namespace or self._namespace, reference.name)
        held = await self._read(named, "Secret")
        data = decoded(held)
        try:
            return from_secret(data)
        except IncompleteSecret as exc:
            raise UnresolvedReference("SecretUnusable", f"Secret {named.namespace}/{named.name}: {exc}") from exc

    async def _cluster(self, reference: Reference) -> BrokerConnection:
        named = ObjectReference(CLUSTER_API, CLUSTER_PLURAL, reference.namespace or self._namespace, reference.name)
        cluster = await self._read(named, "RabbitmqCluster")
        where = f"RabbitmqCluster {named.namespace}/{named.name}"
        holder = _at(cluster, "status", "defaultUser", "secretReference", "name")
        if not holder:
            raise UnresolvedReference(
                "ClusterNotReady", f"{where} has no default user yet: status.defaultUser is empty"
            )
        data = await self._data(secret(named.namespace, str(holder)))
        tls = _at(cluster, "spec", "tls") or {}
        authority = None
        if tls.get("secretName"):
            authority = await self._authority(named.namespace, tls)
        url = _at(cluster, "metadata", "annotations", CONNECTION_URI) or _service_url(
            cluster, named, tls=bool(tls.get("secretName"))
        )
        return BrokerConnection(
            url=str(url).rstrip("/"),
            username=_needed(data, "username", str(holder)),
            password=_needed(data, "password", str(holder)),
            ca_data=authority,
        )

    async def _authority(self, namespace: str, tls: Mapping[str, Any]) -> str | None:
        """`ca.crt` of the cluster's CA Secret, or of its certificate's (cert-manager writes one there)."""
        for name in (tls.get("caSecretName"), tls["secretName"]):
            if not name:
                continue
            held = await self._get(secret(namespace, name))
            if held is not None and (authority := decoded(held).get("ca.crt")):
                return authority
        return None

    async def _data(self, named: ObjectReference) -> dict[str, str]:
        """Of a Secret that is needed beside the one referred to; no allow-list of its own."""
        held = await self._get(named)
        if held is None:
            raise UnresolvedReference(
                "SecretMissing", f"Secret {named.namespace}/{named.name} does not exist", gone=True
            )
        return decoded(held)

    async def _get(self, named: ObjectReference) -> Object | None:
        self.seen[named] = None
        held = await self._kubernetes.get(named.path)
        self.seen[named] = version_of(held)
        return held

    async def _read(self, named: ObjectReference, kind: str) -> Object:
        where = f"{kind} {named.namespace}/{named.name}"
        held = await self._get(named)
        if held is None:
            reason = "SecretMissing" if kind == "Secret" else "ClusterMissing"
            raise UnresolvedReference(reason, f"{where} does not exist", gone=True)
        if named.namespace != self._namespace and not _allows(held, self._namespace):
            raise UnresolvedReference(
                "NamespaceNotAllowed",
                f"{where} does not let namespace {self._namespace} refer to it: its owner can, with the annotation "
                f"{ALLOWED_NAMESPACES[0]}: {self._namespace}",
            )
        return held


def decoded(held: Object) -> dict[str, str]:
    """The texts of a Secret, without what is no text, such as a key store."""
    found: dict[str, str] = {}
    for key, value in (held.get("data") or {}).items():
        with contextlib.suppress(binascii.Error, UnicodeDecodeError):
            found[key] = base64.b64decode(value or "", validate=True).decode()
    return found


def version_of(held: Object | None) -> str | None:
    return None if held is None else str(held["metadata"]["resourceVersion"])


def _needed(data: Mapping[str, str], key: str, name: str) -> str:
    if not data.get(key):
        raise UnresolvedReference("SecretUnusable", f"Secret {name} has no {key}")
    return data[key]


def _allows(held: Object, namespace: str) -> bool:
    annotations = _at(held, "metadata", "annotations") or {}
    allowed = {part.strip() for key in ALLOWED_NAMESPACES for part in annotations.get(key, "").split(",")}
    return bool(allowed & {"*", namespace})


def _service_url(cluster: Object, named: ObjectReference, *, tls: bool) -> str:
    service = _at(cluster, "status", "defaultUser", "serviceReference", "name") or named.name
    scheme, port = ("https", MANAGEMENT_TLS_PORT) if tls else ("http", MANAGEMENT_PORT)
    return f"{scheme}://{service}.{named.namespace}.svc:{port}"


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value
