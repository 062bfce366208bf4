"""Exports the content of a broker as Topology resources."""
