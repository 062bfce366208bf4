"""Names of exchanges, queues and event types that can be sent."""

import re

from warren_messaging.errors import ConfigurationError

_CHARACTERS = r"[A-Za-z0-9_.:@#,/+ -]"
_NAMES = {
    "exchange": (re.compile(_CHARACTERS + "{0,127}"), "up to 127"),
    "queue": (re.compile(_CHARACTERS + "{1,255}"), "1 to 255"),
}
"""What the driver accepts; "" is the broker's default exchange."""
MAX_ROUTING_KEY = 255  # bytes


def require_name(kind: str, name: str) -> None:
    """Raise ConfigurationError for a name of an `exchange` or `queue` that the driver refuses."""
    pattern, length = _NAMES[kind]
    article = "an" if kind == "exchange" else "a"
    if not pattern.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} cannot be the name of {article} {kind}: {length} letters of ASCII, digits, blanks or _.:@#,/+-"
            " are possible"
        )


def require_routing_key(event_type: str) -> None:
    """Raise ConfigurationError for an event type that cannot be a routing key, or that no reader accepts."""
    if not 1 <= len(event_type.encode()) <= MAX_ROUTING_KEY:
        raise ConfigurationError(f"{event_type!r} cannot be an event type: 1 to {MAX_ROUTING_KEY} bytes are possible")
