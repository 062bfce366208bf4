"""Translates the broker's objects into spec fields: the inverse of `desired_state`, and verified against it."""

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_args

import msgspec

from broker_topology.planning.desired import exchange_body, queue_body
from broker_topology.planning.state import Body, BrokerState, Key, ObjectKind
from broker_topology.resource.objects import Exchange, ExchangeType, Queue
from broker_topology.resource.queue_arguments import ARGUMENTS, RETRY_TYPE, TYPE

T = TypeVar("T", bound=msgspec.Struct)
Fields = dict[str, Any]
Forms = tuple[list[Fields], str]
"""Every form of an object that means exactly the same, the best first; without a form, the reason."""

MAX_PLAIN_LETTERS = 100
HASH_DIGITS = 20


def exchange_forms(body: Body) -> Forms:
    if body["type"] not in get_args(ExchangeType):
        return [], f"a Topology has no exchanges of type {body['type']}"
    base: Fields = {"type": body["type"]} | _flags(body)
    if body["internal"]:
        base["internal"] = True
    arguments = dict(body["arguments"])
    fields = dict(base)
    if "alternate-exchange" in arguments:
        fields["alternateExchange"] = arguments.pop("alternate-exchange")
    return _exact(((fields, arguments), (base, body["arguments"])), Exchange, exchange_body, body)


def queue_forms(body: Body) -> Forms:
    arguments = dict(body["arguments"])
    kind = arguments.pop(TYPE.name)
    base: Fields = ({} if kind == "quorum" else {"type": kind}) | _flags(body)
    return _exact((_with_fields(kind, base, arguments), (base, arguments)), Queue, queue_body, body)


def _flags(body: Body) -> Fields:
    durable = {} if body["durable"] else {"durable": False}
    return durable | ({"autoDelete": True} if body["auto_delete"] else {})


def _with_fields(kind: str, base: Fields, given: Body) -> tuple[Fields, Fields]:
    """Splits arguments into fields of the spec and the arguments for which there is no field."""
    fields, arguments = dict(base), dict(given)
    retry = [each.name for each in ARGUMENTS if each.field.startswith("retry")]
    whole_retry = arguments.get(RETRY_TYPE.name) == "failed" and all(each in arguments for each in retry)
    for each in ARGUMENTS:
        value = arguments.get(each.name)
        if not each.field or value is None or value is False or (each.name in retry and not whole_retry):
            continue
        del arguments[each.name]
        if each is not RETRY_TYPE:
            section, _, name = each.field.rpartition(".")
            (fields.setdefault(section, {}) if section else fields)[name] = each.to_field(value)
    if kind == "quorum" and (dead_letter := fields.get("deadLetter")):
        dead_letter.setdefault("strategy", "at-most-once")  # the broker's default, which is not this engine's
        if (dead_letter["strategy"], fields.get("overflow")) == ("at-least-once", "reject-publish"):
            del dead_letter["strategy"], fields["overflow"]
    return fields, arguments


def user_fields(observed: BrokerState, vhost: str, name: str, topics: list[Fields]) -> Fields:
    """Returns one user with its rights in one virtual host. Its password is imported."""
    fields: Fields = {"secretName": secret_name(name), "credentials": "Import"}
    if tags := observed[ObjectKind.USER][Key.of(name)]["tags"]:
        fields["tags"] = tags
    fields["permissions"] = dict(observed[ObjectKind.PERMISSION][Key.of(name, vhost)])
    if topics:
        fields["topicPermissions"] = topics
    if limits := limit_fields(observed[ObjectKind.USER_LIMIT], name):
        fields["limits"] = limits
    return fields


def limit_fields(limits: Mapping[Key, Body], owner: str) -> dict[str, int]:
    """Returns the limits of one user or virtual host; a negative limit is none."""
    found = {each.name[1]: body["value"] for each, body in limits.items() if each.name[0] == owner}
    return {_camel(limit): value for limit, value in sorted(found.items()) if value >= 0}


def secret_name(user_name: str) -> str:
    """Returns a name that Kubernetes accepts, unique for each user.

    A name that had to be changed ends with a dot and a hash, which unchanged names never contain.
    """
    plain = re.sub(r"[^a-z0-9]+", "-", user_name.lower()).strip("-")
    if plain and plain == user_name and len(plain) <= MAX_PLAIN_LETTERS:
        return f"{plain}-rabbitmq"
    digest = hashlib.sha256(user_name.encode()).hexdigest()[:HASH_DIGITS]
    return f"{plain[:MAX_PLAIN_LETTERS].strip('-') or 'user'}.{digest}-rabbitmq"


def _camel(words: str) -> str:
    first, *rest = words.split("-")
    return first + "".join(word.capitalize() for word in rest)


def _exact(
    forms: tuple[tuple[Fields, Body], ...], struct: type[T], translate: Callable[[T], Body], body: Body
) -> Forms:
    """Returns the forms (fields, arguments) that mean the same as `body`."""
    found: list[Fields] = []
    problem = ""
    for fields, arguments in forms:
        written = fields | ({"arguments": dict(arguments)} if arguments else {})
        difference = _difference(written, struct, translate, body)
        problem = problem or difference
        if not difference and written not in found:
            found.append(written)
    return found, "" if found else problem


def _difference(fields: Fields, struct: type[T], translate: Callable[[T], Body], body: Body) -> str:
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
