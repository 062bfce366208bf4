"""The base class of every part of the resource, the bounds of its values, and references to Kubernetes objects.

Every value has bounds: the API server needs them to compute the cost of its rules, and they find typing mistakes where
they are made. The bounds are far above normal use: one resource is at most about 1.5 MB.
"""

from typing import Annotated

import msgspec

NOTHING = "^$"
"""The permission that matches no name."""

Meta = msgspec.Meta


class SpecPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Base class of every part of the resource: camelCase in files, unknown fields refused."""


NotNegative = Annotated[int, Meta(ge=0, le=2**53)]
"""Whole numbers that every JSON reader can represent."""

Seconds = Annotated[float, Meta(gt=0, le=315_360_000)]
"""More than zero, at most ten years."""

Name = Annotated[str, Meta(max_length=255)]
"""The broker accepts 255 bytes; `rules` checks the length in bytes."""

Expression = Annotated[str, Meta(max_length=4096)]
"""A regular expression."""

KubernetesName = Annotated[str, Meta(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
KubernetesNamespace = Annotated[str, Meta(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
Text = Annotated[str, Meta(max_length=1024)]
Tag = Annotated[str, Meta(min_length=1, max_length=64)]
Tags = Annotated[list[Tag], Meta(max_length=32)]


class Reference(SpecPart, frozen=True, kw_only=True):
    """An object in Kubernetes; the default namespace is that of the resource."""

    name: KubernetesName
    namespace: KubernetesNamespace | None = None


class LocalReference(SpecPart, frozen=True, kw_only=True):
    """An object in the namespace of the resource."""

    name: KubernetesName


class BrokerReference(SpecPart, frozen=True, kw_only=True):
    """The broker of a resource: exactly one of `cluster_ref` and `secret_ref`. Only the operator reads it; the command
    line has options instead."""

    cluster_ref: Reference | None = None
    """A `RabbitmqCluster` of RabbitMQ's own cluster operator; its default-user Secret holds the credentials."""
    secret_ref: Reference | None = None
    """A Secret with `uri`, or with `host`, `port`, `username` and `password`; also `ca.crt`, `tls.crt`, `tls.key`."""
    ca_secret_ref: LocalReference | None = None
    """A Secret with `ca.crt`, the authority that signed the broker's certificate. It overrides that in `secret_ref`."""
    client_certificate_secret_ref: LocalReference | None = None
    """A Secret with `tls.crt` and `tls.key`, for a broker that requires a client certificate."""
