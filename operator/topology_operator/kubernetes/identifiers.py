"""The words this operator puts on objects in Kubernetes, and those of others that it honours."""

from __future__ import annotations

from broker_topology.resource import model

API_VERSION = model.API_VERSION
GROUP, VERSION = API_VERSION.split("/")  # as the engine has them
PLURAL = "topologies"
FINALIZER = f"{GROUP}/topology"

PAUSED = f"{GROUP}/paused"
"""Annotation of a Topology: "true" and the broker is not touched."""

ROTATE = f"{GROUP}/rotate"
"""Annotation of a Topology: a time, and perhaps users' names; whose password is older gets a new one now."""

ALLOWED_NAMESPACES = (f"{GROUP}/allowed-namespaces", "rabbitmq.com/topology-allowed-namespaces")
"""Annotations of a RabbitmqCluster or a Secret: namespaces whose Topologies may refer to it; `*` for all."""

CONNECTION_URI = "rabbitmq.com/operator-connection-uri"
"""Annotation of a RabbitmqCluster: where its management API answers, instead of at its Service."""

MANAGED_BY = {"app.kubernetes.io/managed-by": "topology-operator", "app.kubernetes.io/part-of": "warren"}
TOPOLOGY_LABEL = f"{GROUP}/topology"
"""Label of a generated Secret: the name of the Topology it was made for."""

CLUSTER_API, CLUSTER_PLURAL = "rabbitmq.com/v1beta1", "rabbitmqclusters"
