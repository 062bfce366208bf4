"""Errors of provisioning. Each names the place and the problem; existing secrets are unchanged.

ProvisionError
├── InvalidManifest     the manifest is not valid
└── SecretStoreError    a folder or the Kubernetes API refused a read or a write
"""


class ProvisionError(Exception):
    """Base of the errors above; `str()` is ready to print."""


class InvalidManifest(ProvisionError):
    """The manifest cannot be read, or is not valid."""


class SecretStoreError(ProvisionError):
    """The store cannot be reached, refuses access, or has other content under the name."""
