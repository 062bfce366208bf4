"""A topology of a thousand objects, in the proportions of a large installation."""

import broker_topology
from broker_topology import LoadedTopology

EXCHANGES, QUEUES, BINDINGS, USERS = 50, 150, 600, 50
PERMISSIONS_OF_USER = 3
"""One over the names of a virtual host, two over the keys of topic exchanges."""


def objects(scale: int) -> int:
    """How many there are at a scale: 1,000 at 100."""
    return (EXCHANGES + QUEUES + BINDINGS + USERS + USERS * PERMISSIONS_OF_USER) * scale // 100


def topology(vhost: str, scale: int) -> list[LoadedTopology]:
    """Quorum queues, each bound four times to topic exchanges, and users who may use some of them."""
    exchanges, queues, users = (count * scale // 100 for count in (EXCHANGES, QUEUES, USERS))
    bindings = BINDINGS * scale // 100
    lines = [
        "apiVersion: warren.dev/v1alpha1",
        "kind: Topology",
        "metadata: {name: loadtest}",
        "spec:",
        f"  vhost: {vhost}",
        "  exchanges:",
        *(f"    e{number}: {{type: topic}}" for number in range(exchanges)),
        "  queues:",
        *(f"    q{number}: {{deliveryLimit: 100}}" for number in range(queues)),
        "  bindings:",
        *(
            f"    - {{source: e{number % exchanges}, queue: q{number % queues}, routingKey: key.{number}}}"
            for number in range(bindings)
        ),
        "  users:",
    ]
    for number in range(users):
        own, other = number % exchanges, (number + 1) % exchanges
        lines += [
            f"    loadtest-u{number}:",
            f"      secretName: loadtest-u{number}",
            f"      permissions: {{write: '^(e{own}|e{other})$', read: '^q{number}$'}}",
            "      topicPermissions:",
            f"        - {{exchange: e{own}, write: '^key\\.'}}",
            f"        - {{exchange: e{other}, write: '^key\\.'}}",
        ]
    return broker_topology.parse("\n".join(lines))
