"""Compares the desired state with the observed state and renders the difference. No input or output."""
