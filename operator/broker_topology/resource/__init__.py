"""The Topology resource: its fields, and how files become it."""
