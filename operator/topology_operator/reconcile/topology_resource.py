"""Decodes a Topology and its control annotations."""

from datetime import UTC, datetime

import msgspec

from broker_topology.errors import InvalidTopology
from broker_topology.findings import Finding, Origin
from broker_topology.resource.decode import decode
from broker_topology.resource.model import LoadedTopology, Topology
from topology_operator.kubernetes.objects import GROUP, Body, key_of

PAUSED = f"{GROUP}/paused"
"""With the value "true" the operator leaves the broker alone."""

ROTATE = f"{GROUP}/rotate"
"""A time, and optionally names of users. Passwords from before that time are replaced now."""

EXAMPLE_TIME = "2026-11-22T10:00:00Z"


def load_topology(body: Body) -> LoadedTopology:
    """Raises `InvalidTopology` with every finding."""
    metadata = body["metadata"]
    namespace, name = key_of(body)
    origin = Origin(f"{namespace}/{name}", name=name)
    document = {
        "apiVersion": body.get("apiVersion"),
        "kind": body.get("kind"),
        "metadata": {"name": name, "namespace": namespace}
        | {part: dict(metadata[part]) for part in ("labels", "annotations") if metadata.get(part)},
        "spec": msgspec.to_builtins(body.get("spec")),
    }
    topology, findings = decode(document, Topology, origin)
    if topology is None:
        raise InvalidTopology(findings)
    return LoadedTopology(origin, topology)


def is_paused(body: Body) -> bool:
    annotations: dict[str, str] = body["metadata"].get("annotations") or {}
    return annotations.get(PAUSED, "").lower() == "true"


def requested_rotations(resource: LoadedTopology) -> dict[str, datetime]:
    """Returns by user name the time before which a password is too old. Without names the annotation is for all users.

    Because the request has a time, it is carried out once, however often it is read. Raises `InvalidTopology`.
    """

    def invalid(message: str) -> InvalidTopology:
        return InvalidTopology([Finding(resource.origin, f"metadata.annotations.{ROTATE}", message)])

    stamp, *names = resource.topology.metadata.annotations.get(ROTATE, "").replace(",", " ").split() or [""]
    if not stamp:
        return {}
    try:
        when = datetime.fromisoformat(stamp)
    except ValueError as exc:
        text = f"{stamp!r} is not a time: write {EXAMPLE_TIME}, or {EXAMPLE_TIME} and names of users"
        raise invalid(text) from exc
    users = resource.spec.users
    if unknown := [name for name in names if name not in users]:
        raise invalid(f"spec.users has no {', '.join(unknown)}")
    return dict.fromkeys(names or users, when if when.tzinfo is not None else when.replace(tzinfo=UTC))
