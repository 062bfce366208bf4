"""Whom the broker vouches for."""

import re

_GENERATION = re.compile(r"\.[0-9]+$")


def sender(user_id: str) -> str:
    """The name behind a broker user: `order` for `order` and for `order.7`, its seventh generation."""
    return _GENERATION.sub("", user_id)
