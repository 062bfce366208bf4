"""The topology engine: `Topology` resources on one side, a RabbitMQ broker on the other.

Reads and checks resources (`load`, `validate`), shows what would change (`preview`) and changes it (`apply`). Knows
nothing of Kubernetes or of any service; `python -m broker_topology` is its command line.
"""

from broker_topology.apply import Applied, apply, preview
from broker_topology.errors import InvalidTopology, TopologyError
from broker_topology.findings import Finding
from broker_topology.management_api import ManagementApi
from broker_topology.manifests import load, parse, with_vhost
from broker_topology.model import Loaded, Topology
from broker_topology.plan import Plan
from broker_topology.secrets import Credentials, SecretDirectory, SecretStore
from broker_topology.validation import findings, validate

__all__ = [
    "load", "parse", "with_vhost", "findings", "validate", "preview", "apply",
    "ManagementApi", "SecretStore", "SecretDirectory", "Credentials",
    "Loaded", "Topology", "Finding", "Plan", "Applied",
    "TopologyError", "InvalidTopology",
]  # fmt: skip
