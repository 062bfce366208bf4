"""Hides private values in log lines.

The fields of a log event are chosen by the code and hold no private value. Texts of errors are not: a database quotes
the row that it refuses, a mail server the address, a driver the argument. This is the last of several barriers: it
recognises forms, so an error that quotes a private value without such a form must not be logged.
"""

import re
from typing import Any

HIDDEN = "***"
# These have fixed forms, or are stated in docs/observability.md.
_PLAIN_FIELDS = frozenset(
    {
        *("timestamp", "level", "service", "logger"),
        *("event_type", "event_id", "subject", "reference", "trace_id", "announced"),
    }
)
_SUSPICIOUS = re.compile(r"[@+:=]|tok_|eyJ|[Bb]earer")
"""Each private form has one of these. Most lines have none, and each delivery writes a line."""
_NAME = r"[^\s\"'<>()\[\]{},;:=@`]"
_PRIVATE = re.compile(
    "|".join(
        (
            # What PostgreSQL and its driver quote: rows, keys and arguments.
            r"(?P<detail>DETAIL:|invalid input (?:for query argument|syntax for|value for) [^:\n]+:).*",
            r"(?P<login>(?<=://)[^\s/@:]+:)[^\s/@]+(?=@)",
            r"(?P<bearer>\b[Bb]earer\s+)[^\s\"',]+",
            r"(?P<name>(?i:(?<![/\w])(?:password|passwd|secret|token|authorization)[\"']?\s?[=:])\s*[\"']?)"
            r"(?![Bb]earer)[^\s\"',]+",
            r"\btok_[\w-]+",
            r"\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?",
            rf"(?<!{_NAME})(?!//){_NAME}+@[\w-]+(?:\.[\w-]+)+",
            r"\+\d(?:[ ()./-]{0,2}\d){6,14}",
        )
    )
)


def redacted_text(text: str) -> str:
    """Return `text` with `***` in place of mail addresses, telephone numbers, payment tokens, passwords, bearer tokens
    and the values that PostgreSQL quotes."""
    if not _SUSPICIOUS.search(text):
        return text
    return _PRIVATE.sub(lambda found: f"{found[found.lastgroup] if found.lastgroup else ''}{HIDDEN}", text)


def hide_private_values(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
    """A processor of structlog."""
    for key, value in event.items():
        if key not in _PLAIN_FIELDS and isinstance(value, str | BaseException):
            event[key] = redacted_text(str(value))
    return event
