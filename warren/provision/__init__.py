"""Creates the secrets of an installation: its certificate authority, server certificates and passwords.

A repeated run creates only missing secrets, and renews certificates before they expire. The manifest is applied to
folders (Docker Compose) or to Secrets (Kubernetes).
"""
