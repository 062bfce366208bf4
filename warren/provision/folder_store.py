"""Stores secrets as folders, `<root>/<name>/<file>`, as Kubernetes mounts them."""

import os
import shutil
import tempfile
from pathlib import Path

from warren.provision.errors import SecretStoreError
from warren.provision.store import SecretData

PRIVATE, SHARED, PUBLIC = 0o400, 0o440, 0o444


class FolderStore:
    """Files appear complete or not at all. `owner` is the (user, group) that may read them; default: this user."""

    def __init__(self, root: Path, owner: tuple[int, int] | None = None) -> None:
        self._root = root
        self._owner = owner
        self._private = PRIVATE if owner is None else SHARED

    def read(self, name: str) -> SecretData | None:
        folder = self._root / name
        try:
            return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()} or None
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SecretStoreError(f"{folder} cannot be read: {error.strerror}") from error

    def create(self, name: str, data: SecretData) -> bool:
        if self.read(name) is not None:
            return False
        self._write(name, data, self._private)
        return True

    def replace(self, name: str, data: SecretData) -> None:
        self._write(name, data, self._private)

    def publish(self, name: str, data: SecretData) -> None:
        if self.read(name) != data:
            self._write(name, data, PUBLIC)

    def _write(self, name: str, data: SecretData, mode: int) -> None:
        """Write each file with a rename inside the folder, which may be a mount point."""
        folder = self._root / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            draft = Path(tempfile.mkdtemp(prefix=".", dir=folder))
            try:
                for file, content in data.items():
                    (draft / file).write_bytes(content)
                    (draft / file).chmod(mode)
                    if self._owner is not None:
                        os.chown(draft / file, *self._owner)
                for file in data:
                    (draft / file).replace(folder / file)
            finally:
                shutil.rmtree(draft)
        except OSError as error:
            raise SecretStoreError(f"{folder} cannot be written: {error.strerror}") from error
