"""Addresses of servers, as messages and logs may show them."""

import re
from collections.abc import Set as AbstractSet
from urllib.parse import urlsplit

NO_URL = "(not a URL)"
"""Stands for a text that is shown nowhere, because any part of it may be a password."""


def without_secrets(url: str, *, keep_user: bool = False) -> str:
    """Return a URL without password, parameters and fragment, and without the user unless `keep_user` is set."""
    scheme, separator, rest = url.partition("://")
    address, *parameters = re.split("[?#]", rest, maxsplit=1)
    login, at, place = address.rpartition("@")
    # A password with `?` or `#` must be written with % escapes: without them it looks like parameters.
    cut = not at and parameters and "@" in parameters[0]
    if not separator or cut or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
        return NO_URL
    return f"{scheme}://{login.partition(':')[0]}@{place}" if keep_user and at else f"{scheme}://{place}"


def is_address(url: str, schemes: AbstractSet[str]) -> bool:
    """Whether a text is a URL with one of these schemes, a possible host and a possible port."""
    try:
        parts = urlsplit(url)
        (parts.hostname or "").encode("idna")  # as the socket does it
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
