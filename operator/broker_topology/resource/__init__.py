"""The Topology resource: its fields, and the reader of its files."""
