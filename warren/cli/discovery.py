"""Which parking lots there are: the broker's management API is asked, for queues and for what they are bound to.

AMQP itself lists nothing. Where the management API cannot be asked, the services that have tables in the database are
expected to have a parking lot each.
"""

import base64
import json
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import msgspec

from warren.errors import ClientError
from warren.http import NoResponse, request
from warren_messaging.amqp.connection import BrokerAddress
from warren_messaging.dead_letters.parked_message import LOT_SUFFIX, UNROUTED

TIMEOUT = 10.0  # seconds


class QueueInfo(msgspec.Struct, frozen=True):
    """A queue as the management API lists it; what the policies add is in `effective_policy_definition`."""

    name: str
    arguments: dict[str, Any] = {}
    effective_policy_definition: dict[str, Any] | list[Any] | None = None

    def setting(self, name: str) -> str | None:
        policy = self.effective_policy_definition
        value = self.arguments.get(f"x-{name}", policy.get(name) if isinstance(policy, dict) else None)
        return value if isinstance(value, str) else None


class BindingInfo(msgspec.Struct, frozen=True):
    source: str
    destination: str
    destination_type: str


def parking_lots(management: str | None, address: BrokerAddress, services: Sequence[str]) -> tuple[list[str], str]:
    """The parking lots of the vhost, and why the list may be incomplete ("" if it is not).

    Raises ClientError if there are none.
    """
    vhost = unquote(urlsplit(address.url).path.removeprefix("/")) or "/"
    expected = [*sorted(f"{name}{LOT_SUFFIX}" for name in services), UNROUTED]
    if management is None:
        return expected, "the address of the management API is not known (--management-url)"
    try:
        queues = _get(management, address, f"queues/{quote(vhost, safe='')}?disable_stats=true", QueueInfo)
        bindings = _get(management, address, f"bindings/{quote(vhost, safe='')}", BindingInfo)
    except NoResponse as error:
        return expected, f"the list of queues cannot be read from {management} ({error})"
    found = lots_among(queues, bindings)
    if not found:
        raise ClientError(f"vhost {vhost!r} of {address.url} has no parking lots: is it the one you mean?")
    return found, ""


def lots_among(queues: Sequence[QueueInfo], bindings: Iterable[BindingInfo]) -> list[str]:
    """The queues in which messages end, by name, that of unrouted events last.

    A parking lot is named so, or other queues dead-letter into it and it dead-letters nowhere: that tells it from a
    queue in which messages wait for another try.
    """
    exchanges = {name for queue in queues if (name := queue.setting("dead-letter-exchange")) is not None}
    direct = {
        queue.setting("dead-letter-routing-key") for queue in queues if queue.setting("dead-letter-exchange") == ""
    }
    links = list(bindings)
    while further := {
        link.destination
        for link in links
        if link.source in exchanges and link.destination_type == "exchange" and link.destination not in exchanges
    }:
        exchanges |= further
    targets = direct | {
        link.destination
        for link in links
        if link.source and link.source in exchanges and link.destination_type == "queue"
    }
    found = {
        queue.name
        for queue in queues
        if queue.name.endswith(LOT_SUFFIX) or (queue.name in targets and queue.setting("dead-letter-exchange") is None)
    }
    return sorted(found - {UNROUTED}) + [queue.name for queue in queues if queue.name == UNROUTED]


def chosen_lots(names: Sequence[str], lots: Sequence[str], address: BrokerAddress, *, complete: bool) -> list[str]:
    """The parking lots that were named, or all. Raises ClientError for one that is not there."""
    found = []
    for name in names:
        candidates = (name, f"{name}{LOT_SUFFIX}", f"{name}.queue", f"{name.removesuffix('.queue')}{LOT_SUFFIX}")
        match = next((each for each in candidates if each in lots), None)
        if match is None and complete:
            raise ClientError(f"no parking lot {name!r} at {address.url}; there are: {', '.join(lots)}")
        found.append(match or (name if name.endswith(LOT_SUFFIX) else f"{name}{LOT_SUFFIX}"))
    return list(dict.fromkeys(found)) or list(lots)


def _get(management: str, address: BrokerAddress, path: str, kind: type[Any]) -> list[Any]:
    login = base64.b64encode(":".join(address.login()).encode()).decode()
    url = f"{management.rstrip('/')}/api/{path}"
    answer = request("GET", url, headers={"Authorization": f"Basic {login}"}, ca_file=address.ca_file, timeout=TIMEOUT)
    if answer.is_error:
        raise NoResponse(f"{_reason(answer.body)} ({answer.status})")
    try:
        return msgspec.json.decode(answer.body, type=list[kind])  # type: ignore[valid-type]
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise NoResponse(f"not the answer of a management API: {error}") from error


def _reason(body: bytes) -> str:
    try:
        return str(json.loads(body)["reason"])
    except (ValueError, KeyError, TypeError):
        return "refused"
