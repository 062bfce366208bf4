"""Names, references, versions and timestamps of Kubernetes objects."""

import base64
import binascii
import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from broker_topology.resource import model

API_VERSION = model.API_VERSION
GROUP, VERSION = API_VERSION.split("/")
PLURAL = "topologies"

Object = dict[str, Any]
Body = Mapping[str, Any]
"""A Topology as the API server sends it."""

ResourceKey = tuple[str, str]
"""Namespace and name of a Topology."""


def key_of(body: Body) -> ResourceKey:
    return body["metadata"]["namespace"], body["metadata"]["name"]


def full_name(body: Body) -> str:
    return "/".join(key_of(body))


def path_of(api: str, plural: str, namespace: str = "", name: str = "", subresource: str = "") -> str:
    """Returns a path; `api` is `v1` or `group/version`. Names in Kubernetes need no escaping."""
    root = f"/apis/{api}" if "/" in api else f"/api/{api}"
    scope = f"namespaces/{namespace}" if namespace else ""
    return "/".join(part for part in (root, scope, plural, name, subresource) if part)


def status_path(body: Body) -> str:
    return path_of(API_VERSION, PLURAL, *key_of(body), "status")


class ObjectReference(msgspec.Struct, frozen=True, order=True):
    """Names an object that a Topology depends on."""

    kind: Literal["Secret", "RabbitmqCluster"]
    namespace: str
    name: str

    @property
    def collection(self) -> str:
        api, plural = ("v1", "secrets") if self.kind == "Secret" else ("rabbitmq.com/v1beta1", "rabbitmqclusters")
        return path_of(api, plural, self.namespace)

    @property
    def path(self) -> str:
        return f"{self.collection}/{self.name}"

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


ObservedVersions = dict[ObjectReference, str | None]
"""The resource version of each object that was read; None if it does not exist."""


def version_of(body: Object | None) -> str | None:
    return None if body is None else str(body["metadata"]["resourceVersion"])


def decode_secret(body: Object) -> dict[str, str]:
    """Returns the text values of a Secret. Binary values, such as key stores, are left out."""
    texts: dict[str, str] = {}
    for key, value in (body.get("data") or {}).items():
        with contextlib.suppress(binascii.Error, UnicodeDecodeError):
            texts[key] = base64.b64decode(value or "", validate=True).decode()
    return texts


def condition_of(status: Body, kind: str = "Ready") -> Body:
    """Returns the condition of this type; empty if there is none."""
    return next((each for each in status.get("conditions") or () if each["type"] == kind), {})


def timestamp() -> str:
    """Returns the present time in the format of Kubernetes."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_between(first: str, second: str) -> float:
    return (datetime.fromisoformat(second) - datetime.fromisoformat(first)).total_seconds()


def age_seconds(stamp: str) -> float:
    """Seconds since that time by this machine's clock; never negative."""
    return max(0.0, seconds_between(stamp, timestamp()))
