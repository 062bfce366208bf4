"""The interface of a store of secrets."""

from collections.abc import Mapping
from typing import Protocol

SecretData = Mapping[str, bytes]


class SecretStore(Protocol):
    """Named sets of files. All methods raise SecretStoreError."""

    def read(self, name: str) -> SecretData | None:
        """Return the content of a name; None if it does not exist."""

    def create(self, name: str, data: SecretData) -> bool:
        """Store new content; False, without a change, if the name exists."""

    def replace(self, name: str, data: SecretData) -> None:
        """Replace the content of an existing name."""

    def publish(self, name: str, data: SecretData) -> None:
        """Store content that every user may read."""
