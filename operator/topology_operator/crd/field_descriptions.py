"""Descriptions of fields for users, where the model's own are for developers or absent."""

from collections.abc import Mapping

FIELD_DESCRIPTIONS: Mapping[str, Mapping[str, str]] = {
    "Spec": {
        "broker": "The broker. Exactly one of clusterRef and secretRef. Cannot be changed.",
        "vhost": "The virtual host of everything below. Created if it does not exist. Cannot be changed.",
        "vhostLimits": "Limits of the virtual host. Only one resource of a virtual host may set each of them.",
        "exchanges": "By name.",
        "queues": "Queues and streams, by name.",
        "superStreams": "By name.",
        "bindings": "From exchanges, of any resource for this virtual host, to queues and exchanges.",
        "users": "By name. Users belong to the whole broker.",
        "policies": "By name.",
        "operatorPolicies": "By name. They win over policies and over queue arguments.",
    },
    "BrokerReference": {
        "caSecretRef": "A Secret with `ca.crt`: the authority of the broker's certificate. It wins over all others.",
    },
    "Reference": {
        "name": "Its name.",
        "namespace": "Its namespace, which must allow this one; the default is the resource's own.",
    },
    "LocalReference": {"name": "Its name, in the namespace of the resource."},
    "DeleteWithMessages": {"queues": "Names of queues and streams."},
    "VhostSettings": {"description": "Shown in the management UI.", "tags": "Shown in the management UI."},
    "VhostLimits": {
        "maxConnections": "Connections to the virtual host at one time.",
        "maxQueues": "Queues and streams in it.",
    },
    "Exchange": {
        "type": "How it routes. Cannot be changed at the broker.",
        "durable": "Survives a restart of the broker.",
        "autoDelete": "Deleted with its last binding to a queue or exchange.",
        "internal": "Whether only other exchanges may publish to it.",
        "arguments": "Further arguments, as the broker names them.",
    },
    "Queue": {
        "type": "Cannot be changed at the broker, see argumentChange.",
        "durable": "Survives a restart of the broker. Quorum queues and streams always do.",
        "autoDelete": "Deleted with its last consumer. Classic queues only.",
        "overflow": "Handling of a message for a full queue.",
        "messageTtlSeconds": "How long a message waits before it expires. Not for streams.",
        "maxLength": "Maximum number of messages. Not for streams.",
        "maxLengthBytes": "Maximum size of all messages, in bytes.",
        "singleActiveConsumer": "Whether only one consumer at a time gets messages, while the others stand by.",
    },
    "DeadLetter": {"exchange": "Empty for the default exchange."},
    "Retry": {"minSeconds": "The wait after the first delivery.", "maxSeconds": "The longest wait."},
    "SuperStream": {
        "partitions": "Number of streams.",
        "maxAge": "How long each partition keeps an entry, such as `7D`.",
    },
    "Binding": {
        "source": "The source exchange.",
        "queue": "The target queue or stream.",
        "exchange": "The target exchange.",
        "routingKey": "At most 255 bytes.",
    },
    "User": {
        "secretName": "A Secret in the resource's namespace, with `username` and `password`, or with `passwordHash` "
        "(empty: no password) and `hashingAlgorithm`.",
        "tags": "Rights beside messaging: `management`, `monitoring`, `policymaker`, `administrator`.",
        "topicPermissions": "Needed for every topic exchange that permissions.write matches.",
        "limits": "Limits of the user.",
    },
    "Permissions": {
        "configure": "Names that the user may declare and delete.",
        "write": "Names that the user may publish to, and bind to.",
        "read": "Names that the user may consume from, and bind from.",
    },
    "TopicPermission": {"exchange": "A topic exchange.", "write": "Keys that the user may publish with."},
    "UserLimits": {"maxConnections": "Connections at one time.", "maxChannels": "Channels at one time."},
    "Rotation": {"everyHours": "How long a password is the current one."},
    "Policy": {
        "pattern": "A regular expression over names.",
        "applyTo": "The kinds of objects that the policy applies to.",
        "priority": "Of the policies that match, the one with the highest priority applies.",
        "definition": "Settings, as the broker names them.",
    },
}
"""By class and name of the field."""
