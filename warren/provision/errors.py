"""Errors of provisioning. Each says what is wrong and where; nothing that existed was changed.

ProvisionError
├── InvalidManifest       the file of wishes is not in order
└── SecretStoreError         a folder or the Kubernetes API did not take or give what it should
"""


class ProvisionError(Exception):
    """Something that whoever installs can act on; `str()` is ready to print."""


class InvalidManifest(ProvisionError):
    """The file of wishes cannot be read, or asks for something that cannot be."""


class SecretStoreError(ProvisionError):
    """What keeps the secrets is away, refuses us, or holds something else under that name."""
