"""Exports a virtual host as `Topology` resources.

The resources pass the checks, applying them changes nothing, and at an empty broker they make the same objects. An
object that a resource cannot express, or that the broker would refuse today, is omitted together with the objects that
depend on it; it stays at the broker, and the omission is reported.
"""

import msgspec

from broker_topology.broker.management_api import ManagementApi, path
from broker_topology.broker.observe import observe
from broker_topology.credentials.secrets import Credentials
from broker_topology.errors import InvalidTopology, TopologyError
from broker_topology.export.documents import documents, text
from broker_topology.export.draft import ExportDraft, Omission
from broker_topology.findings import Finding, Origin, errors_in
from broker_topology.planning.state import Key, ObjectKind
from broker_topology.resource.decode import decode
from broker_topology.resource.model import LoadedTopology, Topology
from broker_topology.rules.validation import UNADDRESSABLE, check

KNOWN_PARAMETERS = frozenset({"vhost-limits", "policy", "operator_policy"})
"""The runtime parameters that a Topology has fields for."""


class ExportResult(msgspec.Struct, frozen=True):
    text: str
    """The resources as YAML."""
    omissions: tuple[Omission, ...]
    credentials: dict[str, Credentials]
    """The password hash of each user, by the name of its Secret."""

    @property
    def complete(self) -> bool:
        """Whether the resources contain all content of the virtual host."""
        return not any(each.is_content for each in self.omissions)


async def export(api: ManagementApi, vhost: str, name: str) -> ExportResult:
    """Exports one virtual host as the resource `name`, and continues in `name-2` and so on if it is too large.

    Raises `BrokerError`, and `TopologyError` when the virtual host does not exist.
    """
    if vhost in UNADDRESSABLE:
        raise TopologyError(f"RabbitMQ's management API cannot address a virtual host called {vhost}")
    observed = await observe(api, [vhost])
    if Key.of(vhost) not in observed[ObjectKind.VHOST]:
        known = ", ".join(sorted(each["name"] for each in await api.get("/api/vhosts?columns=name")))
        raise TopologyError(f"{api.url} has no virtual host {vhost}; it has {known}")
    queues = await api.get(path("queues", vhost) + "?disable_stats=true&columns=name,exclusive")
    exclusive = {each["name"] for each in queues if each.get("exclusive") is True}
    draft = ExportDraft(observed, vhost, api.username, exclusive)
    draft.omissions += await _parameters(api, vhost)
    credentials: dict[str, Credentials] = {}
    for item in refine(draft, vhost, name):
        for user_name, user in item.spec.users.items():
            there = observed[ObjectKind.USER][Key.of(user_name)]
            credentials[str(user.secret_name)] = Credentials(
                user_name, "", there["password_hash"], there["hashing_algorithm"]
            )
    written = text(vhost, documents(vhost, draft.sections(), name), draft.omissions)
    return ExportResult(written, tuple(draft.omissions), credentials)


def refine(draft: ExportDraft, vhost: str, name: str) -> list[LoadedTopology]:
    """Omits what the rules refuse. It ends, because each round removes at least one object or one form of it."""
    while True:
        several = documents(vhost, draft.sections(), name)
        loaded: list[LoadedTopology] = []
        found: list[Finding] = []
        for number, document in enumerate(several, start=1):
            origin = Origin("export", number, name)
            topology, errors = decode(document, Topology, origin)
            found += errors
            if topology is not None:
                loaded.append(LoadedTopology(origin, topology))
        found = found or errors_in(check(loaded))
        if not found:
            return loaded
        if any(each.subject is None for each in found):  # about the virtual host itself: nothing can be exported
            raise InvalidTopology(found)
        bindings: dict[int, str] = {}
        first = {(each.origin.document, each.subject): each for each in reversed(found)}
        for each in first.values():
            section, subject = each.subject or ("", "")
            if section == "bindings" and isinstance(subject, int):
                binding = several[each.origin.document - 1]["spec"]["bindings"][subject]
                bindings[id(binding)] = each.message
            else:
                draft.omit((section, subject), each.message)
        draft.omit_bindings(bindings)


async def _parameters(api: ManagementApi, vhost: str) -> list[Omission]:
    return [
        Omission(f"{each['component']} {each['name']}", "a Topology has no fields for it")
        for each in await api.get(path("parameters"))
        if each.get("vhost") == vhost and each["component"] not in KNOWN_PARAMETERS
    ]
