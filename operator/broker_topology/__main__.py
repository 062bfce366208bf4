"""`python -m broker_topology` is `broker-topology`."""

from broker_topology.entry import broker_topology

broker_topology()
