"""The Kubernetes front end of the topology engine.

Watches `Topology` resources, calls `broker_topology` for each, and writes what came out into status, conditions, events
and metrics. It decides nothing about brokers itself.
"""
