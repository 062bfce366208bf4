"""The W3C trace context of a request (https://www.w3.org/TR/trace-context/), which the resulting events carry on."""

import re
import secrets
from collections.abc import Mapping

_VALID = re.compile(
    r"(?P<version>(?!ff)[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})-(?P<parent>(?!0{16})[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})(?P<rest>-.*)?"
)


def traceparent_of(headers: Mapping[str, str]) -> str | None:
    """Return the caller's trace context, a new one if its header is not valid, or None without a header.

    The parent stays the caller's: this process reports no span of its own.
    """
    text = headers.get("traceparent")
    if text is None:
        return None
    found = _VALID.fullmatch(text.strip())
    if found is None or (found["version"] == "00" and found["rest"]):
        return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"
    # A later version is read as version 00, and only the fields of version 00 are passed on.
    return f"00-{found['trace']}-{found['parent']}-{found['flags']}"
