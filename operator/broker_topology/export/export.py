"""What a broker holds -> `Topology` resources that say the same.

Checked alone they are accepted, applied again they change nothing, and at an empty broker they make the same. What a
resource cannot say, or what the broker would refuse if it were made now, is left out together with what depends on it,
stays as it is at the broker, and is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from broker_topology.broker.management_api import ManagementApi, path
from broker_topology.broker.observe import observe
from broker_topology.credentials.secrets import Credentials
from broker_topology.errors import InvalidTopology, TopologyError
from broker_topology.export.documents import documents, text
from broker_topology.export.draft import ExportDraft, Omission, exclusive_queues
from broker_topology.findings import Finding, Origin, refusing
from broker_topology.planning.state import ObjectKind, key
from broker_topology.resource.decode import decode
from broker_topology.resource.model import LoadedTopology, Topology
from broker_topology.rules.validation import UNADDRESSABLE, findings

KNOWN_PARAMETERS = frozenset({"vhost-limits", "policy", "operator_policy"})
"""The runtime parameters that a Topology has fields for."""


class ExportResult(msgspec.Struct, frozen=True):
    text: str
    """The resources as YAML."""
    loaded: tuple[LoadedTopology, ...]
    left_out: tuple[Omission, ...]
    """What they do not say, and why."""
    credentials: dict[str, Credentials]
    """What the broker knows of each user's password, by the name of its Secret."""

    @property
    def complete(self) -> bool:
        """Whether all content of the virtual host is in it."""
        return not any(each.dropped for each in self.left_out)


async def export(api: ManagementApi, vhost: str, name: str) -> ExportResult:
    """One virtual host as the resource called `name`; what one cannot hold is in `name-2` and so on.

    Raises `BrokerError`, and `TopologyError` when there is no such virtual host.
    """
    if vhost in UNADDRESSABLE:
        raise TopologyError(f"RabbitMQ's management API cannot address a virtual host called {vhost}")
    observed = await observe(api, [vhost])
    if key(vhost) not in observed[ObjectKind.VHOST]:
        known = ", ".join(sorted(await _vhosts(api)))
        raise TopologyError(f"{api.url} has no virtual host {vhost}; it has {known}")
    queues = await api.get(path("queues", vhost) + "?disable_stats=true&columns=name,exclusive")
    exclusive = {each["name"] for each in queues if each.get("exclusive") is True}
    draft = ExportDraft(observed, vhost, api.username, exclusive)
    draft.left_out += [*exclusive_queues(exclusive), *await _parameters(api, vhost)]
    loaded = refined(draft, vhost, name)
    credentials: dict[str, Credentials] = {}
    for item in loaded:
        for user_name, each in item.spec.users.items():
            there = observed[ObjectKind.USER][key(user_name)]
            credentials[str(each.secret_name)] = Credentials(
                user_name, "", there["password_hash"], there["hashing_algorithm"]
            )
    written = text(vhost, documents(vhost, draft.sections(), name), draft.left_out)
    return ExportResult(written, tuple(loaded), tuple(draft.left_out), credentials)


def refined(draft: ExportDraft, vhost: str, name: str) -> list[LoadedTopology]:
    """Takes away what is refused: each round at least one object or one way to write it, so there is an end."""
    while True:
        several = documents(vhost, draft.sections(), name)
        loaded: list[LoadedTopology] = []
        found: list[Finding] = []
        for number, document in enumerate(several, start=1):
            origin = Origin("export", number, name)
            topology, complaints = decode(document, Topology, origin)
            found += complaints
            if topology is not None:
                loaded.append(LoadedTopology(origin, topology))
        found = found or refusing(findings(loaded))
        if not found:
            return loaded
        if any(each.subject is None for each in found):  # of the virtual host itself: nothing can be written
            raise InvalidTopology(found)
        bindings: dict[int, str] = {}
        first = {(each.origin.document, each.subject): each for each in reversed(found)}
        for each in first.values():
            section, place = each.subject or ("", "")
            if section == "bindings" and isinstance(place, int):
                binding = several[each.origin.document - 1]["spec"]["bindings"][place]
                bindings[id(binding)] = each.message
            else:
                draft.leave_out((section, place), each.message)
        draft.leave_out_bindings(bindings)


async def _parameters(api: ManagementApi, vhost: str) -> Iterator[Omission]:
    listed = await api.get(path("parameters"))
    return (
        Omission(f"{each['component']} {each['name']}", "there are no fields for it yet")
        for each in listed
        if each.get("vhost") == vhost and each["component"] not in KNOWN_PARAMETERS
    )


async def _vhosts(api: ManagementApi) -> Iterable[str]:
    return [each["name"] for each in await api.get("/api/vhosts?columns=name")]
