"""Text from outside, made safe to print: nothing in it can steer a terminal or forge a line of a log."""

from typing import Any


def printable(text: Any, keep: str = "") -> str:
    """`text` with every character that is not printable written as an escape such as `\\x1b` or `\\u202e`.

    These are the control characters (C0, DEL, C1), line separators, bidirectional overrides and other invisible format
    characters, and lone surrogates. Characters in `keep` stay as they are.
    """
    whole = str(text)
    if whole.isprintable():
        return whole
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape").decode() for char in whole
    )
