"""Converts values to what PostgreSQL accepts."""

from collections.abc import Iterable
from uuid import UUID

import msgspec


def text_value(text: str) -> str:
    """Replace NUL and lone surrogates, which PostgreSQL refuses in text, by U+FFFD."""
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return whole.replace("\0", "\N{REPLACEMENT CHARACTER}")


def array_literal(values: Iterable[UUID | int | None]) -> str:
    """Return an array_literal literal, to be cast in SQL: `$1::text::uuid[]`.

    The driver encodes a list element by element, with type checks that cost more than all else in a statement.
    """
    return f"{{{msgspec.json.encode(list(values))[1:-1].decode()}}}"
