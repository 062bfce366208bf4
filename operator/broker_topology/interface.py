"""The public names, which `broker_topology` exports."""

from broker_topology.broker.management_api import ManagementApi
from broker_topology.credentials.directory import SecretDirectory
from broker_topology.credentials.secrets import Credentials, CredentialStore
from broker_topology.errors import InvalidTopology, OwnershipConflict, TopologyError
from broker_topology.findings import Finding
from broker_topology.planning.plan import Plan
from broker_topology.planning.result import ObjectState, Status, TopologyResult
from broker_topology.reconciliation.apply import apply, preview
from broker_topology.reconciliation.finalize import finalize
from broker_topology.reconciliation.reconcile import reconcile
from broker_topology.resource.manifests import load, parse, with_vhost
from broker_topology.resource.model import LoadedTopology, Topology
from broker_topology.rules.validation import check, validate

__all__ = [
    "load", "parse", "with_vhost", "check", "validate", "preview", "apply",
    "reconcile", "finalize", "TopologyResult", "ObjectState", "Status",
    "ManagementApi", "CredentialStore", "SecretDirectory", "Credentials",
    "LoadedTopology", "Topology", "Finding", "Plan",
    "TopologyError", "InvalidTopology", "OwnershipConflict",
]  # fmt: skip
