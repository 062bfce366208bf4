"""The sections of a Topology that says what a broker holds, and what had to be left out of them.

What one object needs is found by the same rules that check files. An object that they refuse is written in another way
where there is one, and left out where there is none; then everything that depends on it is left out, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, get_args

import msgspec

from broker_topology.export import super_streams as folding
from broker_topology.export.to_spec import Described, Fields, exchange, queue, user
from broker_topology.findings import Subject
from broker_topology.planning.state import BrokerState, ObjectKind, key
from broker_topology.resource.declared import QueueType
from broker_topology.resource.super_streams import partition
from broker_topology.rules.graph import PREDECLARED

VHOST_WORDS = {"tracing": "tracing is on", "protected_from_deletion": "it is protected from deletion"}


class Omission(msgspec.Struct, frozen=True):
    """Something that the file does not say."""

    what: str
    why: str
    dropped: bool = True
    """Whether it is content of the virtual host; no file could hold a connection's own queue."""

    def __str__(self) -> str:
        return f"{self.what}: {self.why}"


class ExportDraft:
    """Each exchange and queue with every way to write it, the best first."""

    def __init__(self, observed: BrokerState, vhost: str, own_user: str, exclusive: Collection[str]) -> None:
        self._observed = observed
        self._vhost = vhost
        self._exclusive = exclusive
        self.left_out: list[Omission] = []
        self.settings, self.limits = self._of_vhost()
        self.exchanges = dict(self._described(ObjectKind.EXCHANGE, exchange, own=_is_the_brokers))
        self.queues = dict(self._described(ObjectKind.QUEUE, queue))
        self.bindings = list(self._bindings())
        self.users = dict(self._users(own_user))
        self.policies = self._policies(ObjectKind.POLICY)
        self.operator_policies = self._policies(ObjectKind.OPERATOR_POLICY)
        self.super_streams = folding.fold(self.exchanges, self.queues, self.bindings)

    def sections(self) -> dict[str, Any]:
        """Every section but `vhost`, without what depends on something that is not there."""
        self._leave_out_dependents()
        named: dict[str, Any] = {
            "vhostSettings": self.settings,
            "vhostLimits": self.limits,
            "exchanges": {name: ways[0] for name, ways in self.exchanges.items()},
            "queues": {name: ways[0] for name, ways in self.queues.items()},
            "superStreams": {name: folded.fields for name, folded in self.super_streams.items()},
            "bindings": self.bindings,
            "users": self.users,
            "policies": self.policies,
            "operatorPolicies": self.operator_policies,
        }
        return {section: value for section, value in named.items() if value}

    def leave_out(self, subject: Subject, why: str) -> None:
        """Writes one object in another way, or not at all. Bindings are left out by `leave_out_bindings`."""
        section, name = subject[0], str(subject[1])
        mine: Mapping[str, dict[str, Any]] = {
            "vhostSettings": self.settings,
            "vhostLimits": self.limits,
            "exchanges": self.exchanges,
            "queues": self.queues,
            "superStreams": self.super_streams,
            "users": self.users,
            "policies": self.policies,
            "operatorPolicies": self.operator_policies,
        }
        if name not in mine.get(section, {}):
            return  # another finding was about it as well
        found = mine[section].pop(name)
        if section == "superStreams":
            found.unfold(self.exchanges, self.queues, self.bindings)
        elif section in {"exchanges", "queues"} and len(found) > 1:
            mine[section][name] = found[1:]
        else:
            self.left_out.append(Omission(f"{section} {name}", why))

    def leave_out_bindings(self, doomed: Mapping[int, str]) -> None:
        """Those with these `id`s, each for its reason."""
        for each in self.bindings:
            if id(each) in doomed:
                target = each.get("queue", each.get("exchange"))
                self.left_out.append(Omission(f"binding {each['source']} --> {target}", doomed[id(each)]))
        self.bindings = [each for each in self.bindings if id(each) not in doomed]

    def _of_vhost(self) -> tuple[Fields, Fields]:
        there = self._observed[ObjectKind.VHOST][key(self._vhost)]
        settings = {"description": there["description"], "tags": there["tags"]}
        if there["default_queue_type"] in get_args(QueueType):
            settings["defaultQueueType"] = there["default_queue_type"]
        for field, words in VHOST_WORDS.items():
            if there[field]:
                self.left_out.append(Omission(f"virtual host {self._vhost}", f"{words}, and there is no field for it"))
        limits = {
            _camel(limit): body["value"]
            for (owner, limit), body in (
                (each.name, body) for each, body in self._observed[ObjectKind.VHOST_LIMIT].items()
            )
            if owner == self._vhost and body["value"] >= 0
        }
        return {field: value for field, value in settings.items() if value}, limits

    def _described(
        self, kind: ObjectKind, describe: Callable[[Any], Described], own: Callable[[str], bool] = lambda _: False
    ) -> Iterator[tuple[str, list[Fields]]]:
        for identity, body in sorted(self._observed[kind].items(), key=lambda item: item[0]):
            (name,) = identity.name
            if identity.vhost != self._vhost or own(name):
                continue
            ways, problem = describe(body)
            if ways:
                yield name, list(ways)
            else:
                self.left_out.append(Omission(f"{kind.value}s {name}", problem))

    def _bindings(self) -> Iterator[Fields]:
        for identity in sorted(self._observed[ObjectKind.BINDING]):
            source, kind, target, routing_key, arguments = identity.name
            binding: Fields = {"source": source, kind: target}
            if routing_key:
                binding["routingKey"] = routing_key
            if arguments:
                binding["arguments"] = msgspec.json.decode(arguments)
            yield binding

    def _users(self, own_user: str) -> Iterator[tuple[str, Fields]]:
        topics: dict[str, list[Fields]] = {}
        for identity, body in sorted(self._observed[ObjectKind.TOPIC_PERMISSION].items(), key=lambda item: item[0]):
            name, exchange_name = identity.name
            topics.setdefault(name, []).append(
                {"exchange": exchange_name, "write": body["write"], "read": body["read"]}
            )
        for identity in sorted(self._observed[ObjectKind.PERMISSION]):
            (name,) = identity.name
            if name == own_user:
                why = "it is the one by which the broker is reached"
                self.left_out.append(Omission(f"user {name}", why, dropped=False))
            elif key(name) in self._observed[ObjectKind.USER]:
                yield name, user(self._observed, self._vhost, name, topics.pop(name, []))
        for name in topics.keys() - {own_user}:
            self.left_out.append(Omission(f"topic permissions of user {name}", "it has no permissions here"))

    def _policies(self, kind: ObjectKind) -> dict[str, Fields]:
        return {
            identity.name[0]: {
                "pattern": body["pattern"],
                "applyTo": body["apply-to"],
                "priority": body["priority"],
                "definition": dict(body["definition"]),
            }
            for identity, body in sorted(self._observed[kind].items(), key=lambda item: item[0])
        }

    def _leave_out_dependents(self) -> None:
        exchanges = {*self.exchanges, *self.super_streams, *PREDECLARED}
        queues = set(self.queues)
        for name, folded in self.super_streams.items():
            queues |= {partition(name, number) for number in range(folded.fields["partitions"])}
        missing: Counter[str] = Counter()
        kept: list[Fields] = []
        for each in self.bindings:
            if each["source"] not in exchanges:
                missing[f"exchange {each['source']}"] += 1
            elif "queue" in each and each["queue"] not in queues:
                missing[f"queue {each['queue']}"] += 1
            elif "exchange" in each and each["exchange"] not in exchanges:
                missing[f"exchange {each['exchange']}"] += 1
            else:
                kept.append(each)
        self.bindings = kept
        for what, count in sorted(missing.items()):
            own = what.startswith("queue ") and what.removeprefix("queue ") in self._exclusive
            why = "it belongs to one connection" if own else f"the {what.partition(' ')[0]} is left out"
            self.left_out.append(Omission(f"{_bindings(count)} of {what}", why, dropped=not own))
        for name, fields in self.users.items():
            topics: Sequence[Fields] = fields.get("topicPermissions", ())
            gone = [each["exchange"] for each in topics if each["exchange"] not in exchanges]
            for exchange_name in gone:
                what = f"topic permission of user {name} on exchange {exchange_name}"
                self.left_out.append(Omission(what, "there is no such exchange in this file"))
            if gone:
                fields["topicPermissions"] = [each for each in topics if each["exchange"] in exchanges]


def exclusive_queues(names: Collection[str]) -> Iterator[Omission]:
    for name in sorted(names):
        yield Omission(f"queue {name}", "it belongs to one connection", dropped=False)


def _is_the_brokers(exchange_name: str) -> bool:
    return not exchange_name or exchange_name.startswith("amq.")


def _bindings(count: int) -> str:
    return "1 binding" if count == 1 else f"{count} bindings"


def _camel(words: str) -> str:
    first, *rest = words.split("-")
    return first + "".join(word.capitalize() for word in rest)
