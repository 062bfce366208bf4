"""The topology engine: `Topology` resources on one side, a RabbitMQ broker on the other.

Reads and checks resources (`load`, `validate`), shows what would change (`preview`) and changes it (`apply`). With an
owner it also keeps it so (`reconcile`, `converge`) and takes it away again (`release`). Knows nothing of Kubernetes or
of any service; `python -m broker_topology` is its command line.
"""

from broker_topology.broker.management_api import ManagementApi
from broker_topology.convergence.apply import Applied, apply, preview
from broker_topology.convergence.reconcile import converge, reconcile
from broker_topology.convergence.release import release
from broker_topology.credentials.secrets import Credentials, SecretDirectory, SecretStore
from broker_topology.errors import Claimed, InvalidTopology, TopologyError
from broker_topology.findings import Finding
from broker_topology.planning.outcome import ObjectState, Outcome, Status
from broker_topology.planning.plan import Plan
from broker_topology.resource.manifests import load, parse, with_vhost
from broker_topology.resource.model import Loaded, Topology
from broker_topology.rules.validation import findings, validate

__all__ = [
    "load", "parse", "with_vhost", "findings", "validate", "preview", "apply",
    "reconcile", "converge", "release", "Outcome", "ObjectState", "Status",
    "ManagementApi", "SecretStore", "SecretDirectory", "Credentials",
    "Loaded", "Topology", "Finding", "Plan", "Applied",
    "TopologyError", "InvalidTopology", "Claimed",
]  # fmt: skip
