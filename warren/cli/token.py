"""`warren token`: a bearer token, to try out a system that asks who is calling."""

from pathlib import Path


def token(user: str, *, key_file: Path, role: str | None = None, minutes: float = 60) -> None:
    """Print a bearer token that names a customer.

    Try:

        export WARREN_TOKEN=$(warren token gayal --key-file token.key)

        warren token ann --key-file token.key --role staff --minutes 5

    Parameters
    ----------
    user
        Whom the token names.
    key_file
        The key that the services check tokens with (their WARREN_TOKEN_KEY_FILE).
    role
        What the user may do beyond being a customer; `staff` may read stock and audit.
    minutes
        How long it is good for.
    """
    from warren.tokens import sign

    print(sign(user, key_file, role=role, seconds=minutes * 60))
