"""The annotation that asks for new passwords now."""

from __future__ import annotations

from datetime import UTC, datetime

from broker_topology.errors import InvalidTopology
from broker_topology.findings import Finding
from broker_topology.resource.model import LoadedTopology
from topology_operator.kubernetes.identifiers import ROTATE


def requested(resource: LoadedTopology) -> dict[str, datetime]:
    """By user: a password from before that time is to be replaced. Without names the annotation is for all users.

    A time, so that a request is carried out once, however often it is read. Raises `InvalidTopology`.
    """
    text = resource.topology.metadata.annotations.get(ROTATE, "").strip()
    if not text:
        return {}
    stamp, *names = text.replace(",", " ").split()
    try:
        when = datetime.fromisoformat(stamp)
    except ValueError as exc:
        example = "2026-11-22T10:00:00Z"
        raise _refused(resource, f"{stamp!r} is no time: write {example}, or {example} and users' names") from exc
    users = resource.spec.users
    if unknown := [name for name in names if name not in users]:
        raise _refused(resource, f"spec.users has no {', '.join(unknown)}")
    when = when if when.tzinfo is not None else when.replace(tzinfo=UTC)
    return dict.fromkeys(names or users, when)


def _refused(resource: LoadedTopology, message: str) -> InvalidTopology:
    return InvalidTopology([Finding(resource.origin, f"metadata.annotations.{ROTATE}", message)])
