"""Checks the settings of the resource itself, super streams and rotation."""

from collections.abc import Iterator

from broker_topology.findings import Finding, ObjectRef
from broker_topology.resource.model import LoadedTopology
from broker_topology.resource.objects import Rotation, SuperStream, User
from broker_topology.resource.queue_arguments import FIELDS
from broker_topology.rotation.accounts import name_conflicts
from broker_topology.rules.queues import argument_errors, argument_warnings


def setting_findings(item: LoadedTopology) -> Iterator[Finding]:
    """Yields the findings about these parts of one resource."""
    spec = item.spec
    for where, message in _settings(item):
        yield Finding(item.origin, f"spec.{where}", message)
    yield from _tags(ObjectRef(item.origin, "vhostSettings", "tags"), "", spec.vhost_settings.tags or [])
    for name, stream in spec.super_streams.items():
        ref = ObjectRef(item.origin, "superStreams", name)
        for where, message in _super_stream(stream):
            yield ref.finding(message, where)
        yield from argument_warnings(ref, "stream", stream.arguments)
    for name, user in spec.users.items():
        ref = ObjectRef(item.origin, "users", name)
        yield from _tags(ref, "tags", user.tags)
        if user.rotation is not None:
            yield from name_conflicts(item, name)
            for where, message in _rotation(user, user.rotation, name):
                yield ref.finding(message, where)


def _tags(ref: ObjectRef, where: str, tags: list[str]) -> Iterator[Finding]:
    for position, tag in enumerate(tags):
        if "," in tag:
            yield ref.finding("the broker separates tags by commas; write several", f"{where}[{position}]")


def _rotation(user: User, rotation: Rotation, name: str) -> Iterator[tuple[str, str]]:
    if user.credentials == "Import":
        yield "rotation", "rotation generates passwords, and credentials: Import forbids that; remove one of them"
    if rotation.overlap_minutes >= rotation.every_hours * 60:
        hours = rotation.every_hours
        yield "rotation.overlapMinutes", f"is as long as everyHours ({hours}): the previous user would never be removed"
    for position, topic in enumerate(user.topic_permissions):
        if "{username}" in topic.write + topic.read:
            message = f"with rotation {{username}} is {name}.1, then {name}.2: write {name} instead"
            yield f"topicPermissions[{position}]", message


def _settings(item: LoadedTopology) -> Iterator[tuple[str, str]]:
    spec = item.spec
    if spec.broker is not None and (spec.broker.cluster_ref is None) == (spec.broker.secret_ref is None):
        yield "broker", "needs exactly one of clusterRef and secretRef"
    named = spec.delete_with_messages.vhost
    if named is not None and named != spec.vhost:
        yield "deleteWithMessages.vhost", f"must name this resource's virtual host, {spec.vhost}, not {named}"


def _super_stream(stream: SuperStream) -> Iterator[tuple[str, str]]:
    if stream.routing_keys and len(stream.routing_keys) != stream.partitions:
        yield "routingKeys", f"needs one for each of {stream.partitions} partitions, not {len(stream.routing_keys)}"
    if len(set(stream.routing_keys)) != len(stream.routing_keys):
        yield "routingKeys", "names a key twice"
    yield from argument_errors("stream", stream.arguments)
    for argument, value in (("x-max-age", stream.max_age), ("x-max-length-bytes", stream.max_length_bytes)):
        if value is not None and argument in stream.arguments:
            yield f"arguments.{argument}", f"duplicates the field {FIELDS[argument]}"
