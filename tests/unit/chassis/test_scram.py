"""The verifier that PostgreSQL stores; tests/integration/chassis logs in with its password."""

import base64
import hashlib
import hmac

import pytest

from services.shared.chassis.scram import verifier


def test_a_verifier_proves_the_password_and_has_its_own_salt() -> None:
    first, second = verifier("pencil"), verifier("pencil")
    assert first != second
    scheme, salt_part, keys = first.split("$")
    iterations, salt = salt_part.split(":")
    assert scheme == "SCRAM-SHA-256"
    salted = hashlib.pbkdf2_hmac("sha256", b"pencil", base64.b64decode(salt), int(iterations))
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    assert base64.b64decode(keys.split(":")[0]) == hashlib.sha256(client_key).digest()
    assert "pencil" not in first


@pytest.mark.parametrize("password", ["", "naïve", "tab\there", "\u00a0"])
def test_a_password_that_drivers_would_normalize_is_refused(password: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        verifier(password)
