"""Errors of provisioning. Each says what is wrong and where; nothing that existed was changed.

ProvisionError
├── WishesRefused       the file of wishes is not in order
└── StoreFailed         a folder or the Kubernetes API did not take or give what it should
"""


class ProvisionError(Exception):
    """Something that whoever installs can act on; `str()` is ready to print."""


class WishesRefused(ProvisionError):
    """The file of wishes cannot be read, or asks for something that cannot be."""


class StoreFailed(ProvisionError):
    """What keeps the secrets is away, refuses us, or holds something else under that name."""
