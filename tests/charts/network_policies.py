"""Evaluates the NetworkPolicies (networking.k8s.io/v1) of a rendered chart."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from tests.charts.rendering import NAMESPACE, Object

PEER_FIELDS = {"podSelector", "namespaceSelector", "ipBlock"}


@dataclass(frozen=True)
class Endpoint:
    """A pod or, with `address`, a host outside the cluster."""

    name: str
    labels: dict[str, str] = field(default_factory=dict)
    namespace: str = NAMESPACE
    address: str = ""


def policies_for(end: Endpoint, bodies: Iterable[Object]) -> list[Object]:
    return [
        body
        for body in bodies
        if body["kind"] == "NetworkPolicy"
        and body["metadata"]["namespace"] == end.namespace
        and not end.address
        and _selects(body["spec"]["podSelector"], end.labels)
    ]


def may_connect(source: Endpoint, target: Endpoint, port: int, bodies: list[Object], protocol: str = "TCP") -> bool:
    """Returns whether the policies of source and target allow the connection. Without a policy, all are."""
    leaving, arriving = policies_for(source, bodies), policies_for(target, bodies)
    return (not leaving or any(_allows(each, "egress", "to", target, port, protocol) for each in leaving)) and (
        not arriving or any(_allows(each, "ingress", "from", source, port, protocol) for each in arriving)
    )


def _allows(policy: Object, direction: str, key: str, other: Endpoint, port: int, protocol: str) -> bool:
    for rule in policy["spec"].get(direction, ()):
        assert rule.keys() == {key, "ports"}, f"a rule that lacks peers or ports would allow every one: {rule}"
        assert rule[key], "a rule without peers"
        assert rule["ports"], "a rule without ports"
        if any(_matches(peer, other, policy) for peer in rule[key]) and any(
            _includes(each, port, protocol) for each in rule["ports"]
        ):
            return True
    return False


def _includes(ports: Object, port: int, protocol: str) -> bool:
    return ports["protocol"] == protocol and ports["port"] <= port <= ports.get("endPort", ports["port"])


def _matches(peer: Object, end: Endpoint, policy: Object) -> bool:
    assert peer, "an empty peer"
    assert peer.keys() <= PEER_FIELDS, peer
    if "ipBlock" in peer:
        # Pods also match by address, but their addresses are unknown here: only hosts outside are evaluated.
        return bool(end.address) and ip_address(end.address) in ip_network(peer["ipBlock"]["cidr"])
    if end.address:
        return False
    if "namespaceSelector" in peer:
        labels = {"kubernetes.io/metadata.name": end.namespace}
        inside = _selects(peer["namespaceSelector"], labels)
    else:
        inside = end.namespace == policy["metadata"]["namespace"]
    return inside and _selects(peer.get("podSelector", {}), end.labels)


def _selects(selector: Object, labels: dict[str, str]) -> bool:
    assert selector.keys() <= {"matchLabels"}, selector
    return selector.get("matchLabels", {}).items() <= labels.items()
