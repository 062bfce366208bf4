"""Which text a request may contain: one rule for every parameter and every string of a body.

Refused are characters that a database does not store, a terminal obeys, or a reader does not see: control characters
(C0, DEL, C1), line separators, bidirectional overrides and lone surrogates.
"""

import re
from collections.abc import Iterator
from typing import Any

from services.shared.contracts.values import SINGLE_LINE

MEANING = "no control characters, line separators or bidirectional overrides"

_PLAIN = re.compile(SINGLE_LINE)


def objection(text: str) -> str | None:
    """What is wrong with `text`, in words; None when nothing is."""
    if text.isprintable() or not (found := [char for char in text if not _allowed(char)]):
        return None
    return f"contains U+{ord(found[0]):04X}; {MEANING} are possible here"


def texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every string in a JSON value, keys included, with its place such as `items[0].sku`."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for name, member in value.items():
            yield path, name
            yield from texts(member, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for number, member in enumerate(value):
            yield from texts(member, f"{path}[{number}]")


def _allowed(char: str) -> bool:
    return _PLAIN.match(char) is not None and not "\ud800" <= char <= "\udfff"
