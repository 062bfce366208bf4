"""What the structure cannot say about settings of the resource itself, super streams and rotation."""

from __future__ import annotations

from collections.abc import Iterator

from broker_topology.findings import Finding, did_you_mean
from broker_topology.planning.desired import FIELD_ARGUMENTS
from broker_topology.resource.model import Loaded, SuperStream, User
from broker_topology.rotation.schedule import is_account_of
from broker_topology.rules.queues import KNOWN_ARGUMENTS


def setting_findings(item: Loaded) -> Iterator[Finding]:
    """Every problem of these parts of one resource."""
    spec = item.spec
    for where, message in _settings(item):
        yield Finding(item.origin, f"spec.{where}", message)
    for name, stream in spec.super_streams.items():
        for where, message in _super_stream(stream):
            yield Finding(item.origin, f"spec.superStreams.{name}.{where}", message)
    for name, user in spec.users.items():
        if user.rotation is not None and user.credentials == "Import":
            message = "rotation makes passwords, and credentials: Import takes them from elsewhere; leave one out"
            yield Finding(item.origin, f"spec.users.{name}.rotation", message)
        if user.rotation is not None and user.rotation.overlap_minutes >= user.rotation.every_hours * 60:
            message = f"is as long as everyHours ({user.rotation.every_hours}): the former user would never go"
            yield Finding(item.origin, f"spec.users.{name}.rotation.overlapMinutes", message)
        yield from _rotated(item, name, user)


def _rotated(item: Loaded, name: str, user: User) -> Iterator[Finding]:
    """What the names of generations, `<name>.<number>`, would break."""
    for other in item.spec.users:
        if is_account_of(name, other) and other != name:
            message = f"is what a rotation may call user {name}; call it something else"
            yield Finding(item.origin, f"spec.users.{other}", message)
    if user.rotation is None:
        return
    for position, topic in enumerate(user.topic_permissions):
        if "{username}" in topic.write + topic.read:
            message = f"with rotation {{username}} is {name}.1, then {name}.2: write {name} instead"
            yield Finding(item.origin, f"spec.users.{name}.topicPermissions[{position}]", message)


def _settings(item: Loaded) -> Iterator[tuple[str, str]]:
    spec = item.spec
    if spec.broker is not None and (spec.broker.cluster_ref is None) == (spec.broker.secret_ref is None):
        yield "broker", "needs exactly one of clusterRef and secretRef"
    named = spec.delete_with_messages.vhost
    if named is not None and named != spec.vhost:
        yield "deleteWithMessages.vhost", f"must name this resource's virtual host, {spec.vhost}, not {named}"
    for position, tag in enumerate(spec.vhost_settings.tags or []):
        if "," in tag:
            yield f"vhostSettings.tags[{position}]", "the broker separates tags by commas; write several"
    for name, user in spec.users.items():
        for position, tag in enumerate(user.tags):
            if "," in tag:
                yield f"users.{name}.tags[{position}]", "the broker separates tags by commas; write several"


def _super_stream(stream: SuperStream) -> Iterator[tuple[str, str]]:
    if stream.routing_keys and len(stream.routing_keys) != stream.partitions:
        yield "routingKeys", f"needs one for each of {stream.partitions} partitions, not {len(stream.routing_keys)}"
    if len(set(stream.routing_keys)) != len(stream.routing_keys):
        yield "routingKeys", "names a key twice"
    for argument in stream.arguments:
        if argument in FIELD_ARGUMENTS:
            yield f"arguments.{argument}", f"use the field {FIELD_ARGUMENTS[argument]}"
        elif argument.startswith("x-") and argument not in KNOWN_ARGUMENTS["stream"]:
            hint = did_you_mean(argument, KNOWN_ARGUMENTS["stream"])
            yield f"arguments.{argument}", f"RabbitMQ 4.3 does not know this argument on stream queues{hint}"
