"""The broker's words -> the author's: the inverse of `desired`, and checked against it."""

from __future__ import annotations

import re
from typing import Any, get_args

import msgspec

from broker_topology.planning.desired import exchange_body, queue_body
from broker_topology.planning.state import Body, Key, Kind, State, key
from broker_topology.resource.declared import Exchange, ExchangeType, Queue

Described = tuple[dict[str, Any], str]
"""The fields, and why they cannot say it if they cannot."""

PLAIN = {
    "x-overflow": "overflow",
    "x-delivery-limit": "deliveryLimit",
    "x-max-length": "maxLength",
    "x-max-length-bytes": "maxLengthBytes",
    "x-max-age": "maxAge",
    "x-single-active-consumer": "singleActiveConsumer",
}
MILLISECONDS = {"x-message-ttl": "messageTtlSeconds", "x-consumer-timeout": "consumerTimeoutSeconds"}
DEAD_LETTER = {
    "x-dead-letter-exchange": "exchange",
    "x-dead-letter-routing-key": "routingKey",
    "x-dead-letter-strategy": "strategy",
}
RETRY = {"x-delayed-retry-min": "minSeconds", "x-delayed-retry-max": "maxSeconds"}


def exchange(body: Body) -> Described:
    if body["type"] not in get_args(ExchangeType):
        return {}, f"exchanges of type {body['type']} have no word here"
    arguments = dict(body["arguments"])
    fields: dict[str, Any] = {"type": body["type"]}
    if not body["durable"]:
        fields["durable"] = False
    for field, name in (("auto_delete", "autoDelete"), ("internal", "internal")):
        if body[field]:
            fields[name] = True
    if "alternate-exchange" in arguments:
        fields["alternateExchange"] = arguments.pop("alternate-exchange")
    if arguments:
        fields["arguments"] = arguments
    return fields, _difference(fields, Exchange, exchange_body, body)


def queue(body: Body) -> Described:
    arguments = dict(body["arguments"])
    kind = arguments.pop("x-queue-type")
    fields: dict[str, Any] = {} if kind == "quorum" else {"type": kind}
    if not body["durable"]:
        fields["durable"] = False
    if body["auto_delete"]:
        fields["autoDelete"] = True
    dead_letter = {name: arguments.pop(each) for each, name in DEAD_LETTER.items() if each in arguments}
    if dead_letter:
        if kind == "quorum":  # the broker's default is not ours
            dead_letter.setdefault("strategy", "at-most-once")
            if dead_letter["strategy"] == "at-least-once" and arguments.get("x-overflow") == "reject-publish":
                del dead_letter["strategy"], arguments["x-overflow"]
        fields["deadLetter"] = dead_letter
    retry = {name: _seconds(arguments.pop(each)) for each, name in RETRY.items() if each in arguments}
    if retry:
        fields["retry"] = retry
        arguments.pop("x-delayed-retry-type", None)
    fields |= {name: arguments.pop(each) for each, name in PLAIN.items() if each in arguments}
    fields |= {name: _seconds(arguments.pop(each)) for each, name in MILLISECONDS.items() if each in arguments}
    if arguments:
        fields["arguments"] = arguments
    return fields, _difference(fields, Queue, queue_body, body)


def user(observed: State, vhost: str, name: str) -> dict[str, Any]:
    """One user with its rights in one virtual host. Its password is imported."""
    fields: dict[str, Any] = {"secretName": secret_name(name), "credentials": "Import"}
    if tags := observed[Kind.USER][key(name)]["tags"]:
        fields["tags"] = tags
    permissions = observed[Kind.PERMISSION][key(name, vhost)]
    fields["permissions"] = {each: permissions[each] for each in ("configure", "write", "read")}
    topics = [
        {"exchange": identity.name[1], "write": body["write"], "read": body["read"]}
        for identity, body in sorted(observed[Kind.TOPIC_PERMISSION].items(), key=lambda item: item[0])
        if identity.vhost == vhost and identity.name[0] == name
    ]
    if topics:
        fields["topicPermissions"] = topics
    limits = {}
    for limit, field in (("max-connections", "maxConnections"), ("max-channels", "maxChannels")):
        body = observed[Kind.USER_LIMIT].get(Key("", (name, limit)))
        if body is not None and body["value"] >= 0:
            limits[field] = body["value"]
    if limits:
        fields["limits"] = limits
    return fields


def secret_name(user_name: str) -> str:
    """A name that Kubernetes takes."""
    plain = re.sub(r"[^a-z0-9]+", "-", user_name.lower()).strip("-")
    return f"{plain or 'user'}-rabbitmq"


def _seconds(milliseconds: Any) -> Any:
    if not isinstance(milliseconds, int):
        return milliseconds
    return milliseconds // 1000 if milliseconds % 1000 == 0 else milliseconds / 1000


def _difference(fields: dict[str, Any], struct: Any, translate: Any, body: Body) -> str:
    """What is lost on the way here and back."""
    try:
        again = translate(msgspec.convert(fields, struct))
    except msgspec.ValidationError as exc:
        return f"{exc}"
    ours, theirs = {*_flat(again).items()}, {*_flat(body).items()}
    for words, only in (("no fields for", theirs - ours), ("the fields would add", ours - theirs)):
        if only:
            return f"{words} " + ", ".join(f"{name} {value}" for name, value in sorted(only))
    return ""


def _flat(body: Body) -> dict[str, str]:
    plain = {name: repr(value) for name, value in body.items() if name != "arguments"}
    return plain | {name: repr(value) for name, value in body["arguments"].items()}
