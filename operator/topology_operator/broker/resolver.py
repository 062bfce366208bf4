"""Resolves `spec.broker` to a connection.

Secrets and clusters are read again for each reconcile, so that a renewed certificate or password is used at once. A
reference into another namespace works only if its target allows this one: without that rule, everybody with the right
to create a Topology could use the administrator of every broker.
"""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from broker_topology.resource.fields import BrokerReference, Reference
from topology_operator.broker.connection import DEFAULT_PORTS, IncompleteSecret, ManagementEndpoint, from_secret
from topology_operator.errors import UnresolvedReference
from topology_operator.kubernetes.api import KubernetesApi
from topology_operator.kubernetes.objects import (
    GROUP,
    Object,
    ObjectReference,
    ObservedVersions,
    decode_secret,
    version_of,
)

ALLOWED_NAMESPACES = (f"{GROUP}/allowed-namespaces", "rabbitmq.com/topology-allowed-namespaces")
"""Annotations of a RabbitmqCluster or Secret: the namespaces whose Topologies may refer to it; `*` for all."""

CONNECTION_URI = "rabbitmq.com/operator-connection-uri"
"""Annotation of a RabbitmqCluster: the address of its management API, if it is not that of its Service."""


class BrokerResolver:
    """Follows the references of one Topology."""

    def __init__(self, kubernetes: KubernetesApi, namespace: str) -> None:
        self._kubernetes = kubernetes
        self._namespace = namespace
        self.observed: ObservedVersions = {}
        """Every object that was read."""

    async def resolve(self, broker: BrokerReference | None) -> ManagementEndpoint:
        """Raises `UnresolvedReference` with reason and message of the Ready condition, and `KubernetesError`."""
        if broker is not None and broker.cluster_ref is not None:
            connection = await self._from_cluster(broker.cluster_ref)
        elif broker is not None and broker.secret_ref is not None:
            connection = await self._from_secret(broker.secret_ref)
        else:
            raise UnresolvedReference("BrokerNotSet", "spec.broker must name a clusterRef or a secretRef")
        if (reference := broker.ca_secret_ref) is not None:
            data = await self._secret_data(self._namespace, reference.name)
            connection = replace(connection, ca_data=_required(data, "ca.crt", reference.name))
        if (reference := broker.client_certificate_secret_ref) is not None:
            data = await self._secret_data(self._namespace, reference.name)
            certificate, key = (_required(data, name, reference.name) for name in ("tls.crt", "tls.key"))
            connection = replace(connection, certificate=certificate, key=key)
        return connection

    async def _from_secret(self, reference: Reference) -> ManagementEndpoint:
        target = ObjectReference("Secret", reference.namespace or self._namespace, reference.name)
        secret = await self._shared(target)
        try:
            return from_secret(decode_secret(secret))
        except IncompleteSecret as exc:
            raise UnresolvedReference("SecretInvalid", f"{target}: {exc}") from exc

    async def _from_cluster(self, reference: Reference) -> ManagementEndpoint:
        target = ObjectReference("RabbitmqCluster", reference.namespace or self._namespace, reference.name)
        cluster = await self._shared(target)
        secret_name = _at(cluster, "status", "defaultUser", "secretReference", "name")
        if not secret_name:
            text = f"{target} has no default user yet: status.defaultUser is empty"
            raise UnresolvedReference("ClusterNotReady", text)
        data = await self._secret_data(target.namespace, str(secret_name))
        tls = _at(cluster, "spec", "tls") or {}
        url = _at(cluster, "metadata", "annotations", CONNECTION_URI) or _service_url(
            cluster, target, tls=bool(tls.get("secretName"))
        )
        return ManagementEndpoint(
            url=str(url).rstrip("/"),
            username=_required(data, "username", str(secret_name)),
            password=_required(data, "password", str(secret_name)),
            ca_data=await self._authority(target.namespace, tls) if tls.get("secretName") else None,
        )

    async def _authority(self, namespace: str, tls: Mapping[str, Any]) -> str | None:
        """Reads `ca.crt` of the CA Secret, or else of the certificate's Secret, where cert-manager writes it."""
        for name in filter(None, (tls.get("caSecretName"), tls["secretName"])):
            secret = await self._get(ObjectReference("Secret", namespace, name))
            if secret is not None and (authority := decode_secret(secret).get("ca.crt")):
                return authority
        return None

    async def _secret_data(self, namespace: str, name: str) -> dict[str, str]:
        return decode_secret(await self._existing(ObjectReference("Secret", namespace, name)))

    async def _shared(self, target: ObjectReference) -> Object:
        """Reads an object that may be in another namespace, if that allows it."""
        body = await self._existing(target)
        if target.namespace != self._namespace and not _allows(body, self._namespace):
            raise UnresolvedReference(
                "NamespaceNotAllowed",
                f"{target} does not allow references from namespace {self._namespace}: its owner allows them with the "
                f"annotation {ALLOWED_NAMESPACES[0]}: {self._namespace}",
            )
        return body

    async def _existing(self, target: ObjectReference) -> Object:
        body = await self._get(target)
        if body is None:
            reason = "SecretNotFound" if target.kind == "Secret" else "ClusterNotFound"
            raise UnresolvedReference(reason, f"{target} does not exist", not_found=True)
        return body

    async def _get(self, target: ObjectReference) -> Object | None:
        self.observed[target] = None
        body = await self._kubernetes.get(target.path)
        self.observed[target] = version_of(body)
        return body


def _required(data: Mapping[str, str], key: str, secret_name: str) -> str:
    if not data.get(key):
        raise UnresolvedReference("SecretInvalid", f"Secret {secret_name} has no {key}")
    return data[key]


def _allows(body: Object, namespace: str) -> bool:
    annotations = _at(body, "metadata", "annotations") or {}
    allowed = {part.strip() for key in ALLOWED_NAMESPACES for part in annotations.get(key, "").split(",")}
    return bool(allowed & {"*", namespace})


def _service_url(cluster: Object, target: ObjectReference, *, tls: bool) -> str:
    service = _at(cluster, "status", "defaultUser", "serviceReference", "name") or target.name
    scheme = "https" if tls else "http"
    return f"{scheme}://{service}.{target.namespace}.svc:{DEFAULT_PORTS[scheme]}"


def _at(value: Any, *keys: str) -> Any:
    """Returns the nested value; None if a key is missing."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
