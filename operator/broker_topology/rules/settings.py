"""What the structure cannot say about settings of the resource itself, super streams and rotation."""

from __future__ import annotations

from collections.abc import Iterator

from broker_topology.findings import Finding, ObjectRef
from broker_topology.planning.desired import FIELD_ARGUMENTS
from broker_topology.resource.model import LoadedTopology, SuperStream, User
from broker_topology.rotation.decision import is_account_of
from broker_topology.rules.queues import argument_problems, argument_warnings


def setting_findings(item: LoadedTopology) -> Iterator[Finding]:
    """Every problem of these parts of one resource."""
    spec = item.spec
    for where, message in _settings(item):
        yield Finding(item.origin, f"spec.{where}", message)
    for position, tag in enumerate(spec.vhost_settings.tags or []):
        if "," in tag:
            message = "the broker separates tags by commas; write several"
            yield ObjectRef(item.origin, "vhostSettings", "tags").finding(message, f"[{position}]")
    for name, stream in spec.super_streams.items():
        place = ObjectRef(item.origin, "superStreams", name)
        for where, message in _super_stream(stream):
            yield place.finding(message, where)
        for argument, message in argument_warnings("stream", stream.arguments):
            yield place.finding(message, f"arguments.{argument}", warning=True)
    for name, user in spec.users.items():
        place = ObjectRef(item.origin, "users", name)
        if user.rotation is not None and user.credentials == "Import":
            message = "rotation makes passwords, and credentials: Import takes them from elsewhere; leave one out"
            yield place.finding(message, "rotation")
        if user.rotation is not None and user.rotation.overlap_minutes >= user.rotation.every_hours * 60:
            message = f"is as long as everyHours ({user.rotation.every_hours}): the former user would never go"
            yield place.finding(message, "rotation.overlapMinutes")
        for position, tag in enumerate(user.tags):
            if "," in tag:
                yield place.finding("the broker separates tags by commas; write several", f"tags[{position}]")
        yield from _rotated(item, name, user)


def _rotated(item: LoadedTopology, name: str, user: User) -> Iterator[Finding]:
    """What the names of generations, `<name>.<number>`, would break."""
    if user.rotation is None:
        return
    for other in item.spec.users:
        if is_account_of(name, other) and other != name:
            message = f"is what a rotation may call user {name}; call it something else"
            yield ObjectRef(item.origin, "users", other).finding(message)
    place = ObjectRef(item.origin, "users", name)
    for position, topic in enumerate(user.topic_permissions):
        if "{username}" in topic.write + topic.read:
            message = f"with rotation {{username}} is {name}.1, then {name}.2: write {name} instead"
            yield place.finding(message, f"topicPermissions[{position}]")


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
    for argument, message in argument_problems("stream", stream.arguments):
        yield f"arguments.{argument}", message
    for argument, value in (("x-max-age", stream.max_age), ("x-max-length-bytes", stream.max_length_bytes)):
        if value is not None and argument in stream.arguments:
            yield f"arguments.{argument}", f"the field {FIELD_ARGUMENTS[argument]} says the same"
