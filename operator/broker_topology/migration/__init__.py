"""A queue gets other arguments, and keeps every message."""
