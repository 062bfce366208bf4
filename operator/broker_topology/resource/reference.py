"""Which broker a resource is for. The operator reads this; the command line has options instead."""

from __future__ import annotations

from broker_topology.resource.bounds import KubernetesName, KubernetesNamespace, SpecPart


class Reference(SpecPart, frozen=True, kw_only=True):
    """An object in Kubernetes. Without a namespace it is in the resource's own."""

    name: KubernetesName
    namespace: KubernetesNamespace | None = None


class LocalReference(SpecPart, frozen=True, kw_only=True):
    """An object in the resource's own namespace."""

    name: KubernetesName


class BrokerReference(SpecPart, frozen=True, kw_only=True):
    """Exactly one of `cluster_ref` and `secret_ref` (see `validation`)."""

    cluster_ref: Reference | None = None
    """A `RabbitmqCluster` of RabbitMQ's own cluster operator; its default-user Secret holds the credentials."""
    secret_ref: Reference | None = None
    """A Secret with `uri`, or with `host`, `port`, `username` and `password`; also `ca.crt`, `tls.crt`, `tls.key`."""
    ca_secret_ref: LocalReference | None = None
    """A Secret with `ca.crt`: who signed the broker's certificate. It wins over the one in `secret_ref`."""
    client_certificate_secret_ref: LocalReference | None = None
    """A Secret with `tls.crt` and `tls.key`, for a broker that asks for a client certificate."""
