"""The Kubernetes operator for `Topology` resources.

Watches Topologies, calls the engine `broker_topology` for each, and writes the result into status, conditions, events
and metrics. Every decision about a broker is the engine's.
"""
