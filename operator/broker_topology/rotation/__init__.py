"""Credential rotation: a user gets a new password without an interruption of its connections."""
