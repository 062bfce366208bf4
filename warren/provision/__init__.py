"""What an installation needs before anything starts: its certificate authority, server certificates, passwords.

Made once and kept; running again makes only what is missing, and renews certificates in good time. The same wishes are
fulfilled into folders (Docker Compose) or into Secrets (Kubernetes).
"""
