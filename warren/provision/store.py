"""Where secrets are kept, as provisioning sees it."""

from collections.abc import Mapping
from typing import Protocol

SecretData = Mapping[str, bytes]


class SecretStore(Protocol):
    """Named sets of files. Whoever comes second finds what the first made: nothing is overwritten by accident."""

    def read(self, name: str) -> SecretData | None:
        """None when there is nothing of that name. Raises StoreFailed."""

    def create(self, name: str, data: SecretData) -> bool:
        """False when somebody else was first. Raises StoreFailed."""

    def replace(self, name: str, data: SecretData) -> None:
        """Put other content in the place of what is there. Raises StoreFailed."""

    def publish(self, name: str, data: SecretData) -> None:
        """Make content known that everybody may read. Raises StoreFailed."""
