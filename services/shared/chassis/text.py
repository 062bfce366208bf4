"""Text from outside: which characters a request may contain, and how any text is made safe to print."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

TEXT_RULE = "no control characters, line separators or bidirectional overrides"


def text_error(text: str) -> str | None:
    """Say why a request must not contain `text`; None if it may.

    Refused are characters that a database does not store, a terminal obeys, or a reader does not see: control
    characters (C0, DEL, C1), line separators, bidirectional overrides and lone surrogates.
    """
    if text.isprintable() or not (found := [char for char in text if not _allowed(char)]):
        return None
    return f"contains U+{ord(found[0]):04X}; {TEXT_RULE} are allowed here"


@cache
def _single_line() -> re.Pattern[str]:
    from services.shared.contracts.values import SINGLE_LINE  # noqa: PLC0415 - the command line imports no contracts

    return re.compile(SINGLE_LINE)


def _allowed(char: str) -> bool:
    return _single_line().match(char) is not None and not "\ud800" <= char <= "\udfff"


def strings_in(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield every string in a JSON value, keys included, with its path such as `items[0].sku`."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for name, member in value.items():
            yield path, name
            yield from strings_in(member, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for number, member in enumerate(value):
            yield from strings_in(member, f"{path}[{number}]")


def printable(text: Any, keep: str = "") -> str:
    """Return `text` with every unprintable character escaped, such as `\\x1b` or `\\u202e`, except those in `keep`.

    The result cannot control a terminal, and with the default `keep` it stays on one line of a log.
    """
    whole = str(text)
    if whole.isprintable():
        return whole
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape").decode() for char in whole
    )
