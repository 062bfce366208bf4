"""The broker's words -> the author's: the inverse of `desired`, and checked against it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any, get_args

import msgspec

from broker_topology.planning.desired import exchange_body, queue_body
from broker_topology.planning.state import Body, BrokerState, Key, ObjectKind, key
from broker_topology.resource.declared import Exchange, ExchangeType, Queue

Fields = dict[str, Any]
Described = tuple[Sequence[Fields], str]
"""Every way to say exactly this, the best first; without one, the reason."""

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
MAX_PLAIN_LETTERS = 100
HASH_DIGITS = 20
RETRY = {"x-delayed-retry-min": "minSeconds", "x-delayed-retry-max": "maxSeconds"}


def exchange(body: Body) -> Described:
    if body["type"] not in get_args(ExchangeType):
        return (), f"exchanges of type {body['type']} have no word here"
    raw: Fields = {"type": body["type"]}
    if not body["durable"]:
        raw["durable"] = False
    for field, name in (("auto_delete", "autoDelete"), ("internal", "internal")):
        if body[field]:
            raw[name] = True
    arguments = dict(body["arguments"])
    named = dict(raw)
    if "alternate-exchange" in arguments:
        named["alternateExchange"] = arguments.pop("alternate-exchange")
    return _exact(((named, arguments), (raw, dict(body["arguments"]))), Exchange, exchange_body, body)


def queue(body: Body) -> Described:
    arguments = dict(body["arguments"])
    kind = arguments.pop("x-queue-type")
    raw: Fields = {} if kind == "quorum" else {"type": kind}
    if not body["durable"]:
        raw["durable"] = False
    if body["auto_delete"]:
        raw["autoDelete"] = True
    return _exact((_named(kind, raw, arguments), (raw, arguments)), Queue, queue_body, body)


def _named(kind: str, raw: Fields, given: Body) -> tuple[Fields, Fields]:
    """As much as possible in fields, and the arguments that are left."""
    fields, arguments = dict(raw), dict(given)
    dead_letter = {name: arguments.pop(each) for each, name in DEAD_LETTER.items() if each in arguments}
    if dead_letter:
        if kind == "quorum":  # the broker's default is not ours
            dead_letter.setdefault("strategy", "at-most-once")
            if dead_letter["strategy"] == "at-least-once" and arguments.get("x-overflow") == "reject-publish":
                del dead_letter["strategy"], arguments["x-overflow"]
        fields["deadLetter"] = dead_letter
    if arguments.get("x-delayed-retry-type") == "failed" and all(each in arguments for each in RETRY):
        fields["retry"] = {name: _seconds(arguments.pop(each)) for each, name in RETRY.items()}
        del arguments["x-delayed-retry-type"]
    fields |= {name: arguments.pop(each) for each, name in PLAIN.items() if arguments.get(each) not in {None, False}}
    fields |= {name: _seconds(arguments.pop(each)) for each, name in MILLISECONDS.items() if each in arguments}
    return fields, arguments


def user(observed: BrokerState, vhost: str, name: str, topics: Sequence[Fields]) -> Fields:
    """One user with its rights in one virtual host. Its password is imported."""
    fields: Fields = {"secretName": secret_name(name), "credentials": "Import"}
    if tags := observed[ObjectKind.USER][key(name)]["tags"]:
        fields["tags"] = tags
    permissions = observed[ObjectKind.PERMISSION][key(name, vhost)]
    fields["permissions"] = {each: permissions[each] for each in ("configure", "write", "read")}
    if topics:
        fields["topicPermissions"] = list(topics)
    limits = {}
    for limit, field in (("max-connections", "maxConnections"), ("max-channels", "maxChannels")):
        body = observed[ObjectKind.USER_LIMIT].get(Key("", (name, limit)))
        if body is not None and body["value"] >= 0:
            limits[field] = body["value"]
    if limits:
        fields["limits"] = limits
    return fields


def secret_name(user_name: str) -> str:
    """A name that Kubernetes takes, another one for each user. Only names that need it carry a hash, after a dot, which
    the plain ones never have."""
    plain = re.sub(r"[^a-z0-9]+", "-", user_name.lower()).strip("-")
    if plain and plain == user_name and len(plain) <= MAX_PLAIN_LETTERS:
        return f"{plain}-rabbitmq"
    digest = hashlib.sha256(user_name.encode()).hexdigest()[:HASH_DIGITS]
    return f"{plain[:MAX_PLAIN_LETTERS].strip('-') or 'user'}.{digest}-rabbitmq"


def _seconds(milliseconds: Any) -> Any:
    if not isinstance(milliseconds, int):
        return milliseconds
    return milliseconds // 1000 if milliseconds % 1000 == 0 else milliseconds / 1000


def _exact(ways: Sequence[tuple[Fields, Fields]], struct: Any, translate: Any, body: Body) -> Described:
    """Those of the ways (fields, arguments) that say the same as `body`."""
    found: list[Fields] = []
    problem = ""
    for fields, arguments in ways:
        written = fields | ({"arguments": arguments} if arguments else {})
        difference = _difference(written, struct, translate, body)
        problem = problem or difference
        if not difference and written not in found:
            found.append(written)
    return found, "" if found else problem


def _difference(fields: Fields, struct: Any, translate: Any, body: Body) -> str:
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
