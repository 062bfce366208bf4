"""The sections of an exported Topology, and the omissions.

The rules that check files decide what an exported object needs. An object that they refuse is written in another form
if there is one, and otherwise omitted together with the objects that depend on it.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, get_args

import msgspec

from broker_topology.export.super_streams import fold
from broker_topology.export.to_spec import Fields, Forms, exchange_forms, limit_fields, queue_forms, user_fields
from broker_topology.findings import Subject
from broker_topology.planning.state import BrokerState, Key, ObjectKind
from broker_topology.resource.objects import QueueType
from broker_topology.rules.graph import PREDECLARED

VHOST_STATES = {"tracing": "tracing is on", "protected_from_deletion": "it is protected from deletion"}


class Omission(msgspec.Struct, frozen=True):
    """An object that the exported file does not contain."""

    what: str
    reason: str
    is_content: bool = True
    """Whether it is content of the virtual host; a connection's own queue is not."""

    def __str__(self) -> str:
        return f"{self.what}: {self.reason}"


class ExportDraft:
    """Each object with every form of it, the best first."""

    def __init__(self, observed: BrokerState, vhost: str, own_user: str, exclusive: Collection[str]) -> None:
        self._observed = observed
        self._vhost = vhost
        self._exclusive = exclusive
        self.omissions = [
            Omission(f"queue {name}", "it belongs to one connection", is_content=False) for name in sorted(exclusive)
        ]
        self.bindings = list(self._bindings())
        limits = limit_fields(observed[ObjectKind.VHOST_LIMIT], vhost)
        self._forms: dict[str, dict[str, list[Any]]] = {
            "vhostSettings": dict(self._settings()),
            "vhostLimits": {limit: [value] for limit, value in limits.items()},
            "exchanges": dict(self._named(ObjectKind.EXCHANGE, exchange_forms, is_own=_is_predeclared)),
            "queues": dict(self._named(ObjectKind.QUEUE, queue_forms)),
            "superStreams": {},
            "bindings": {},
            "users": dict(self._users(own_user)),
            "policies": dict(self._named(ObjectKind.POLICY, _policy_forms)),
            "operatorPolicies": dict(self._named(ObjectKind.OPERATOR_POLICY, _policy_forms)),
        }
        self._folded = fold(self._forms["exchanges"], self._forms["queues"], self.bindings)
        self._forms["superStreams"] = {name: [folded.fields] for name, folded in self._folded.items()}

    def sections(self) -> dict[str, Any]:
        """Returns every section except `vhost`, without objects that depend on an omitted one."""
        self._omit_dependents()
        named: dict[str, Any] = {
            section: {name: forms[0] for name, forms in objects.items()} for section, objects in self._forms.items()
        }
        named["bindings"] = self.bindings
        return {section: value for section, value in named.items() if value}

    def omit(self, subject: Subject, reason: str) -> None:
        """Writes one object in its next form, or omits it. Bindings are omitted by `omit_bindings`."""
        section, name = subject[0], str(subject[1])
        objects = self._forms.get(section, {})
        if name not in objects:
            return  # another finding was about the same object
        _, *others = objects.pop(name)
        if section == "superStreams":
            self._folded.pop(name).unfold(self._forms["exchanges"], self._forms["queues"], self.bindings)
        elif others:
            objects[name] = others
        else:
            self.omissions.append(Omission(f"{section} {name}", reason))

    def omit_bindings(self, reasons: Mapping[int, str]) -> None:
        """Omits the bindings with these `id`s, each for its reason."""
        for each in self.bindings:
            if id(each) in reasons:
                target = each.get("queue", each.get("exchange"))
                self.omissions.append(Omission(f"binding {each['source']} --> {target}", reasons[id(each)]))
        self.bindings = [each for each in self.bindings if id(each) not in reasons]

    def _settings(self) -> Iterator[tuple[str, list[Any]]]:
        there = self._observed[ObjectKind.VHOST][Key.of(self._vhost)]
        for field, words in VHOST_STATES.items():
            if there[field]:
                self.omissions.append(Omission(f"virtual host {self._vhost}", f"{words}, which has no field"))
        known_type = there["default_queue_type"] in get_args(QueueType)
        for field, value in (
            ("description", there["description"]),
            ("tags", there["tags"]),
            ("defaultQueueType", there["default_queue_type"] if known_type else None),
        ):
            if value:
                yield field, [value]

    def _named(
        self, kind: ObjectKind, forms_of: Callable[[Any], Forms], is_own: Callable[[str], bool] = lambda _: False
    ) -> Iterator[tuple[str, list[Fields]]]:
        for key, body in sorted(self._observed[kind].items(), key=lambda item: item[0]):
            (name,) = key.name
            if key.vhost != self._vhost or is_own(name):
                continue
            forms, problem = forms_of(body)
            if forms:
                yield name, forms
            else:
                self.omissions.append(Omission(f"{kind.section} {name}", problem))

    def _bindings(self) -> Iterator[Fields]:
        for key in sorted(self._observed[ObjectKind.BINDING]):
            source, kind, target, routing_key, arguments = key.name
            binding: Fields = {"source": source, kind: target}
            if routing_key:
                binding["routingKey"] = routing_key
            if arguments:
                binding["arguments"] = msgspec.json.decode(arguments)
            yield binding

    def _users(self, own_user: str) -> Iterator[tuple[str, list[Fields]]]:
        topics: dict[str, list[Fields]] = {}
        for key, body in sorted(self._observed[ObjectKind.TOPIC_PERMISSION].items(), key=lambda item: item[0]):
            name, exchange = key.name
            topics.setdefault(name, []).append({"exchange": exchange, **body})
        for key in sorted(self._observed[ObjectKind.PERMISSION]):
            (name,) = key.name
            if name == own_user:
                reason = "this export connects as that user"
                self.omissions.append(Omission(f"user {name}", reason, is_content=False))
            elif Key.of(name) in self._observed[ObjectKind.USER]:
                yield name, [user_fields(self._observed, self._vhost, name, topics.pop(name, []))]
        for name in topics.keys() - {own_user}:
            self.omissions.append(Omission(f"topic permissions of user {name}", "it has no permissions here"))

    def _omit_dependents(self) -> None:
        exchanges = {*self._forms["exchanges"], *self._folded, *PREDECLARED}
        queues = {*self._forms["queues"], *(queue for folded in self._folded.values() for queue in folded.queues)}
        missing: Counter[tuple[str, str]] = Counter()
        kept: list[Fields] = []
        for each in self.bindings:
            ends = [("exchange", each["source"]), ("queue", each.get("queue")), ("exchange", each.get("exchange"))]
            known = {"exchange": exchanges, "queue": queues}
            lost = [(kind, name) for kind, name in ends if name is not None and name not in known[kind]]
            if lost:
                missing[lost[0]] += 1
            else:
                kept.append(each)
        self.bindings = kept
        for (kind, name), count in sorted(missing.items()):
            own = kind == "queue" and name in self._exclusive
            reason = "it belongs to one connection" if own else f"the {kind} is left out"
            bindings = "1 binding" if count == 1 else f"{count} bindings"
            self.omissions.append(Omission(f"{bindings} of {kind} {name}", reason, is_content=not own))
        for name, (fields,) in self._forms["users"].items():
            topics = fields.pop("topicPermissions", [])
            if kept := [each for each in topics if each["exchange"] in exchanges]:
                fields["topicPermissions"] = kept
            for each in topics:
                if each not in kept:
                    what = f"topic permission of user {name} on exchange {each['exchange']}"
                    self.omissions.append(Omission(what, "the exchange is left out"))


def _policy_forms(body: Mapping[str, Any]) -> Forms:
    fields = {"pattern": body["pattern"], "applyTo": body["apply-to"], "priority": body["priority"]}
    return [fields | {"definition": dict(body["definition"])}], ""


def _is_predeclared(exchange_name: str) -> bool:
    return not exchange_name or exchange_name.startswith("amq.")
