"""What a broker holds -> a `Topology` that says the same.

Applied again it changes nothing. What a resource cannot say, or what `validation` would refuse, is left out, stays as
it is at the broker, and is named in a comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, get_args

import msgspec
import yaml

from broker_topology.adoption.describing import exchange, queue, user
from broker_topology.broker.management_api import ManagementApi
from broker_topology.broker.observe import observe
from broker_topology.errors import InvalidTopology, TopologyError
from broker_topology.findings import Finding, Origin
from broker_topology.planning.state import Kind, State, key
from broker_topology.resource.declared import QueueType
from broker_topology.resource.decode import decode
from broker_topology.resource.model import API_VERSION, KIND, Loaded, Topology
from broker_topology.resource.super_streams import bindings, exchanges, queues
from broker_topology.rules.validation import findings

NOBODYS = re.compile(r"^$|^amq\.")
"""The broker's own exchanges and queues."""


class Exported(msgspec.Struct, frozen=True):
    text: str
    """The resource as YAML."""
    loaded: Loaded
    left_out: tuple[str, ...]
    """What it does not say, and why."""
    hashes: dict[str, tuple[str, str]]
    """Of each secret name the user name and the password hash."""


async def export(api: ManagementApi, vhost: str, name: str) -> Exported:
    """One virtual host as the resource called `name`.

    Raises `BrokerError`, and `TopologyError` when there is no such virtual host.
    """
    observed = await observe(api, [vhost])
    if key(vhost) not in observed[Kind.VHOST]:
        known = ", ".join(sorted(await _vhosts(api)))
        raise TopologyError(f"{api.url} has no virtual host {vhost}; it has {known}")
    left_out: list[str] = []
    spec = _spec(observed, vhost, api.username, left_out)
    loaded = _refined(_resource(name, spec), left_out, observed)
    hashes = {
        str(each.secret_name): (user_name, observed[Kind.USER][key(user_name)]["password_hash"])
        for user_name, each in loaded.spec.users.items()
    }
    return Exported(_text(spec, name, vhost, left_out), loaded, tuple(left_out), hashes)


async def _vhosts(api: ManagementApi) -> Iterable[str]:
    return [each["name"] for each in await api.get("/api/vhosts?columns=name")]


def _resource(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name}, "spec": spec}


def _spec(observed: State, vhost: str, own_user: str, left_out: list[str]) -> dict[str, Any]:
    spec: dict[str, Any] = {"vhost": vhost}
    there = observed[Kind.VHOST][key(vhost)]
    settings = {"description": there["description"], "tags": there["tags"]}
    if there["default_queue_type"] in get_args(QueueType):
        settings["defaultQueueType"] = there["default_queue_type"]
    spec["vhostSettings"] = {field: value for field, value in settings.items() if value}
    spec["vhostLimits"] = {
        _camel(limit): body["value"]
        for (owner, limit), body in ((each.name, body) for each, body in observed[Kind.VHOST_LIMIT].items())
        if owner == vhost and body["value"] >= 0
    }
    spec["exchanges"] = dict(_named(observed, Kind.EXCHANGE, vhost, exchange, left_out))
    spec["queues"] = dict(_named(observed, Kind.QUEUE, vhost, queue, left_out))
    spec["bindings"] = list(_bindings(observed, vhost))
    spec["users"] = {}
    for identity in sorted(observed[Kind.PERMISSION]):
        (user_name,) = identity.name
        if user_name == own_user:
            left_out.append(f"user {user_name}: it is the one by which the broker is reached")
        elif key(user_name) in observed[Kind.USER]:
            spec["users"][user_name] = user(observed, vhost, user_name)
    for section, kind in (("policies", Kind.POLICY), ("operatorPolicies", Kind.OPERATOR_POLICY)):
        spec[section] = {
            identity.name[0]: {
                "pattern": body["pattern"],
                "applyTo": body["apply-to"],
                "priority": body["priority"],
                "definition": dict(body["definition"]),
            }
            for identity, body in sorted(observed[kind].items())
        }
    return {section: value for section, value in spec.items() if value}


def _named(observed: State, kind: Kind, vhost: str, describe: Any, left_out: list[str]) -> Iterator[tuple[str, Any]]:
    for identity, body in sorted(observed[kind].items(), key=lambda item: item[0]):
        (name,) = identity.name
        if identity.vhost != vhost or NOBODYS.search(name):
            continue
        described, problem = describe(body)
        if problem:
            left_out.append(f"{kind.value} {name}: {problem}")
        else:
            yield name, described


def _bindings(observed: State, vhost: str) -> Iterator[dict[str, Any]]:
    for identity in sorted(observed[Kind.BINDING]):
        if identity.vhost != vhost:
            continue
        source, kind, target, routing_key, arguments = identity.name
        binding: dict[str, Any] = {"source": source, kind: target}
        if routing_key:
            binding["routingKey"] = routing_key
        if arguments:
            binding["arguments"] = msgspec.json.decode(arguments)
        yield binding


def _refined(resource: dict[str, Any], left_out: list[str], observed: State) -> Loaded:
    """Without what is refused: each round takes away at least one object, so there is an end."""
    origin = Origin("export", 1, resource["metadata"]["name"])
    _fold(resource["spec"])
    while True:
        topology, found = decode(resource, Topology, origin)
        loaded = Loaded(origin, topology) if topology is not None else None
        if loaded is not None:
            found = findings([loaded], (), observed)
        if loaded is not None and not found:
            return loaded
        gone: set[str] = set()
        for finding in found:
            _leave_out(resource["spec"], finding, left_out, gone)
        if not gone:
            raise InvalidTopology(found)


def _leave_out(spec: dict[str, Any], finding: Finding, left_out: list[str], gone: set[str]) -> None:
    """Takes away the object that a finding is about."""
    for section in ("exchanges", "queues", "superStreams", "users", "policies", "operatorPolicies"):
        names = [name for name in spec.get(section, {}) if f"{finding.path}.".startswith(f"spec.{section}.{name}.")]
        if names:
            name = max(names, key=len)
            del spec[section][name]
            gone.add(f"spec.{section}.{name}")
            left_out.append(f"{section} {name}: {finding.message}")
            return
    position = re.match(r"spec\.bindings\[(\d+)\]", finding.path)
    if position and not any(each.startswith("spec.bindings") for each in gone):  # the others have moved: next round
        binding = spec["bindings"].pop(int(position[1]))
        gone.add(finding.path)
        left_out.append(
            f"binding {binding['source']} --> {binding.get('queue') or binding.get('exchange')}: {finding.message}"
        )
        return
    if not gone:
        section = finding.path.split(".")[1] if "." in finding.path else finding.path
        if spec.pop(section, None) is not None:
            gone.add(f"spec.{section}")
        left_out.append(f"{section}: {finding.message}")


def _fold(spec: dict[str, Any]) -> None:
    """Super streams out of their parts, where the parts are exactly what a super stream is made of."""
    found: dict[str, dict[str, Any]] = {}
    for name, declared in spec.get("exchanges", {}).items():
        if declared.get("arguments", {}).get("x-super-stream") is not True:
            continue
        ways = sorted(
            (each for each in spec.get("bindings", []) if each["source"] == name and "queue" in each),
            key=lambda each: each.get("arguments", {}).get("x-stream-partition-order", -1),
        )
        streams = [spec.get("queues", {}).get(each["queue"]) for each in ways]
        if not ways or None in streams or any(each != streams[0] for each in streams):
            continue
        candidate = {"partitions": len(ways), **{k: v for k, v in streams[0].items() if k != "type"}}
        keys = [each.get("routingKey", "") for each in ways]
        if keys != [str(number) for number in range(len(ways))]:
            candidate["routingKeys"] = keys
        if _same_parts(name, candidate, declared, ways, streams):
            found[name] = candidate
    for name in found:
        del spec["exchanges"][name]
        for each in [each for each in spec["bindings"] if each["source"] == name]:
            spec["queues"].pop(each.get("queue"), None)
            spec["bindings"].remove(each)
    if found:
        spec["superStreams"] = found


def _same_parts(name: str, candidate: Any, declared: Any, ways: list[Any], streams: list[Any]) -> bool:
    origin = Origin("export")
    wrapped = {"vhost": "v", "superStreams": {name: candidate}}
    parts = {
        "vhost": "v",
        "exchanges": {name: declared},
        "queues": {way["queue"]: stream for way, stream in zip(ways, streams, strict=True)},
        "bindings": ways,
    }
    (one, _), (other, _) = (decode(_resource("x", each), Topology, origin) for each in (wrapped, parts))
    return (
        one is not None
        and other is not None
        and exchanges(one.spec) == exchanges(other.spec)
        and queues(one.spec) == queues(other.spec)
        and bindings(one.spec) == bindings(other.spec)
    )


def _text(spec: dict[str, Any], name: str, vhost: str, left_out: list[str]) -> str:
    lines = [f"# Virtual host {vhost}, as the broker had it."]
    if left_out:
        lines += ["# Left out, because a Topology cannot or must not say it (it stays as it is):"]
        lines += [f"#   {each}" for each in left_out]
    said = {section: value for section, value in spec.items() if value}
    body = yaml.safe_dump(_resource(name, said), sort_keys=False, allow_unicode=True, width=120)
    return "\n".join(lines) + "\n" + body


def _camel(words: str) -> str:
    first, *rest = words.split("-")
    return first + "".join(word.capitalize() for word in rest)
