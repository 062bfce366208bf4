"""SCRAM-SHA-256 verifiers (RFC 5803), with which PostgreSQL checks a password.

`ALTER ROLE … PASSWORD` accepts a verifier in place of the password, which then never reaches the server or its log.
"""

import hashlib
import hmac
import secrets
from base64 import b64encode

ITERATIONS = 4096  # PostgreSQL's own default; every login repeats them
SALT_BYTES = 16


def verifier(password: str) -> str:
    """Return a verifier with a new salt; it contains no quote.

    Raises ValueError for a password that is not printable ASCII: drivers normalize other characters differently.
    """
    if not password or not (password.isascii() and password.isprintable()):
        raise ValueError("a password must consist of printable ASCII characters")
    salt = secrets.token_bytes(SALT_BYTES)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    encoded = [b64encode(part).decode() for part in (salt, stored_key, server_key)]
    return f"SCRAM-SHA-256${ITERATIONS}:{encoded[0]}${encoded[1]}:{encoded[2]}"
