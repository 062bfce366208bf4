"""From what a broker holds to a Topology that says so."""
