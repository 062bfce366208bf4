"""A parked message and its failure as a JSON document."""

import base64
from datetime import datetime
from typing import Any

import msgspec

from warren_messaging.dead_letters.parked_message import FailureRecord, ParkedMessage


def message_summary(parked: ParkedMessage, failure: FailureRecord | None) -> dict[str, Any]:
    """Return the fields of a list."""
    return {
        "queue": parked.lot,
        "id": parked.id,
        "type": parked.type,
        "order": parked.order,
        "parked_at": _plain(parked.parked_at),
        "reason": parked.reason(failure),
        "attempts": failure.attempts if failure else None,
        "replays": parked.replays,
        "undecodable": sorted(parked.undecodable),
    }


def message_detail(parked: ParkedMessage, failure: FailureRecord | None) -> dict[str, Any]:
    """Return the whole message.

    The body is in `body` if it is UTF-8, else in `body_base64`. If a property cannot be decoded, the properties' bytes
    are in `properties_base64`.
    """
    properties = {
        name: _plain(value) for name, value in parked.properties if name != "headers" and value not in (None, "")
    }
    document = message_summary(parked, failure) | {
        "routing_key": parked.routing_key,
        "replays_into": parked.home,
        "properties": properties,
        "headers": _plain(dict(parked.headers)),
        "failure": None if failure is None else _plain(msgspec.to_builtins(failure)),
        "body_sha256": parked.body_hash,
    }
    if parked.undecodable:
        document["undecodable"] = dict(parked.undecodable)
        document["properties_base64"] = base64.b64encode(parked.raw.data).decode()
    try:
        return document | {"body": parked.body.decode()}
    except UnicodeDecodeError:
        return document | {"body_base64": base64.b64encode(parked.body).decode()}


def pretty(body: bytes) -> str:
    """Format a body for reading: JSON indented, other text unchanged, else a hex dump of the first 1,024 bytes."""
    try:
        return msgspec.json.format(body, indent=2).decode()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" not in text:
        return text
    rows = (body[start : start + 16] for start in range(0, min(len(body), 1024), 16))
    return "\n".join(f"{row.hex(' '):47}  {''.join(chr(b) if 32 <= b < 127 else '.' for b in row)}" for row in rows)


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat()
        case dict():
            return {str(name): _plain(each) for name, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case bytes() | bytearray():
            return value.decode(errors="backslashreplace")
    return value
