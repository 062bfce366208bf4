"""RabbitMQ's salted password hashes.

The broker shows every user's hash to administrators. Hashing the stored password with the observed salt shows whether
it is the same one, so an unchanged password is not written, and only hashes leave this process.
"""

import base64
import binascii
import hashlib
import hmac
import secrets

SALT_BYTES = 4  # fixed by the broker
ALGORITHMS = {
    "rabbit_password_hashing_md5": lambda data: hashlib.md5(data, usedforsecurity=False),  # only old users have it
    "rabbit_password_hashing_sha256": hashlib.sha256,
    "rabbit_password_hashing_sha512": hashlib.sha512,
}
WRITTEN_ALGORITHM = "rabbit_password_hashing_sha256"


def hash_password(password: str, salt: bytes | None = None, algorithm: str = WRITTEN_ALGORITHM) -> str:
    """Returns base64(salt + H(salt + password)), with a fresh salt unless one is given."""
    salt = secrets.token_bytes(SALT_BYTES) if salt is None else salt
    return base64.b64encode(salt + ALGORITHMS[algorithm](salt + password.encode()).digest()).decode()


def is_password(password: str, observed_hash: str, algorithm: str) -> bool:
    """Returns whether the observed hash belongs to this password. False for an unknown algorithm or malformed hash."""
    if algorithm not in ALGORITHMS:
        return False
    try:
        salt = base64.b64decode(observed_hash, validate=True)[:SALT_BYTES]
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(hash_password(password, salt, algorithm), observed_hash)
