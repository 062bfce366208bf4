"""Migration: a queue gets other arguments without losing a message."""
