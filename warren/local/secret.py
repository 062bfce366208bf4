"""Passwords of one instance: random, made once, in files that only their owner may read."""

import hashlib
import secrets
from pathlib import Path

__all__ = ["instance_identity", "remembered_secret"]


def remembered_secret(file: Path) -> str:
    """The password in `file`, which is made on the first call."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = file.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        partial.touch(mode=0o600)
        partial.write_text(secrets.token_urlsafe(24))
        partial.rename(file)
    return file.read_text()


def instance_identity(instance_dir: Path) -> str:
    """Tells an instance from a deleted earlier one in the same folder, whose data may still lie elsewhere."""
    return hashlib.sha256(remembered_secret(instance_dir / "secrets" / "identity").encode()).hexdigest()[:8]
