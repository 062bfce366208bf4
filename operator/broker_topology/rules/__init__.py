"""The checks of topologies before anything is written."""
