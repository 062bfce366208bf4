"""The topology engine: `Topology` resources on one side, a RabbitMQ broker on the other.

Reads and checks resources (`load`, `validate`), shows what would change (`preview`) and changes it (`apply`). With an
owner it also keeps it so (`reconcile`, `converge`) and takes it away again (`release`). Knows nothing of Kubernetes or
of any service; `python -m broker_topology` is its command line.
"""

from broker_topology.apply import Applied, apply, preview
from broker_topology.errors import Claimed, InvalidTopology, TopologyError
from broker_topology.findings import Finding
from broker_topology.management_api import ManagementApi
from broker_topology.manifests import load, parse, with_vhost
from broker_topology.model import Loaded, Topology
from broker_topology.outcome import ObjectState, Outcome, Status
from broker_topology.plan import Plan
from broker_topology.reconcile import converge, reconcile
from broker_topology.release import release
from broker_topology.secrets import Credentials, SecretDirectory, SecretStore
from broker_topology.validation import findings, validate

__all__ = [
    "load", "parse", "with_vhost", "findings", "validate", "preview", "apply",
    "reconcile", "converge", "release", "Outcome", "ObjectState", "Status",
    "ManagementApi", "SecretStore", "SecretDirectory", "Credentials",
    "Loaded", "Topology", "Finding", "Plan", "Applied",
    "TopologyError", "InvalidTopology", "Claimed",
]  # fmt: skip
