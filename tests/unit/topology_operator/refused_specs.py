"""Specs that the definition, the engine and a real API server refuse, with words of the error message."""

from typing import Any

BROKER = {"secretRef": {"name": "broker"}}

Document = dict[str, Any]


def document(**spec: Any) -> Document:
    return {
        "apiVersion": "warren.dev/v1alpha1",
        "kind": "Topology",
        "metadata": {"name": "test"},
        "spec": {"broker": BROKER, "vhost": "v"} | spec,
    }


def queue(**fields: Any) -> Document:
    return document(queues={"q": fields})


REFUSED = {
    "no broker": (document() | {"spec": {"vhost": "v"}}, "spec.broker: Required value"),
    "two brokers": (document(broker=BROKER | {"clusterRef": {"name": "r"}}), "exactly one of clusterRef"),
    "no reference": (document(broker={}), "exactly one of clusterRef"),
    "empty vhost": (document(vhost=""), "virtual host is empty"),
    "another vhost to delete": (document(deleteWithMessages={"vhost": "w"}), "repeat the name in spec.vhost"),
    "unknown type": (queue(type="lazy"), "Unsupported value"),
    "transient quorum": (queue(durable=False), "always durable"),
    "auto-delete stream": (queue(type="stream", autoDelete=True), "cannot delete themselves"),
    "dlx overflow": (queue(overflow="reject-publish-dlx"), "only classic queues"),
    "retry of a stream": (queue(type="stream", retry={"minSeconds": 1, "maxSeconds": 2}), "only quorum queues retry"),
    "retry shrinks": (queue(retry={"minSeconds": 3, "maxSeconds": 2}), "maxSeconds is less than minSeconds"),
    "no retry at all": (queue(retry={"minSeconds": 0, "maxSeconds": 2}), "too small"),
    "limit of a classic": (queue(type="classic", deliveryLimit=3), "only quorum queues count"),
    "age of a quorum": (queue(maxAge="7D"), "only streams keep entries by age"),
    "age in words": (queue(type="stream", maxAge="a week"), "should match"),
    "stream with a TTL": (queue(type="stream", messageTtlSeconds=3), "append-only log"),
    "at-least-once that drops": (
        queue(deadLetter={"exchange": "", "routingKey": "q"}, overflow="drop-head"),
        "overflow reject-publish only",
    ),
    "at-least-once classic": (
        queue(type="classic", deadLetter={"exchange": "", "strategy": "at-least-once"}),
        "needs type quorum",
    ),
    "no target": (document(bindings=[{"source": "amq.fanout"}]), "exactly one target"),
    "two targets": (
        document(bindings=[{"source": "amq.fanout", "queue": "q", "exchange": "amq.topic"}]),
        "exactly one target",
    ),
    "default exchange": (document(queues={"q": {}}, bindings=[{"source": "", "queue": "q"}]), "default exchange"),
    "user without a secret": (document(users={"u": {}}), "secretName: Required value"),
    "overlap longer than the period": (
        document(users={"u": {"secretName": "s", "rotation": {"everyHours": 1, "overlapMinutes": 60}}}),
        "overlap must end before",
    ),
    "topic permission twice": (
        document(users={"u": {"secretName": "s", "topicPermissions": [{"exchange": "amq.topic"}] * 2}}),
        "Duplicate value",
    ),
    "too often": (document(resyncSeconds=1), "too small"),
    "name of a secret": (document(broker={"secretRef": {"name": "Not_A_Name"}}), "should match"),
}
