"""Bearer tokens as the services read them (services/shared/chassis/http/auth.py), for experiments and tests.

In production a login service issues them: the key can sign a token for any user.
"""

import time
from pathlib import Path

import jwt

from services.shared.chassis.http.auth import MIN_KEY_BYTES
from warren.errors import WarrenError


def sign(subject: str, key_file: Path, *, role: str | None = None, seconds: float = 3600) -> str:
    """Sign a token for `subject` that is valid for `seconds`.

    Raises WarrenError when the key cannot be read or is too short.
    """
    try:
        key = key_file.read_bytes().strip()
    except OSError as error:
        raise WarrenError(f"The token key {key_file} cannot be read: {error.strerror}.") from error
    if len(key) < MIN_KEY_BYTES:
        raise WarrenError(f"The token key in {key_file} has {len(key)} bytes; at least {MIN_KEY_BYTES} are needed.")
    claims: dict[str, object] = {"sub": subject, "exp": int(time.time() + seconds)}
    return jwt.encode(claims | ({"role": role} if role else {}), key, algorithm="HS256")
