"""Finds the parking lots: from the queues and bindings of the broker's management API, as AMQP cannot list queues.

Without a management API, each service that has tables in the database is expected to have a parking lot.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import msgspec

from warren.errors import ClientError
from warren.http import NoResponse, basic_auth, request
from warren_messaging.amqp.connection import BrokerAddress
from warren_messaging.dead_letters.parked_message import LOT_SUFFIX, UNROUTED

TIMEOUT = 10.0  # seconds


class QueueInfo(msgspec.Struct, frozen=True):
    """A queue as the management API lists it; `effective_policy_definition` holds the settings of policies."""

    name: str
    arguments: dict[str, Any] = {}
    effective_policy_definition: dict[str, Any] | list[Any] | None = None

    def setting(self, name: str) -> str | None:
        value = self._value(name)
        return value if isinstance(value, str) else None

    def milliseconds(self, name: str) -> int | None:
        value = self._value(name)
        return value if isinstance(value, int) else None

    def _value(self, name: str) -> Any:
        policy = self.effective_policy_definition
        return self.arguments.get(f"x-{name}", policy.get(name) if isinstance(policy, dict) else None)


class BindingInfo(msgspec.Struct, frozen=True):
    source: str
    destination: str
    destination_type: str


class QueuesNotListed(ClientError):
    """The broker's queues cannot be listed, so its parking lots and their arguments are not known."""


def list_parking_lots(management: str | None, address: BrokerAddress) -> list[str]:
    """Return the parking lots of the vhost. Raises QueuesNotListed, and ClientError if there are none."""
    vhost = _vhost(address)
    queues = list_queues(management, address)
    bindings = _list(management, address, f"bindings/{quote(vhost, safe='')}", BindingInfo)
    found = find_parking_lots(queues, bindings)
    if not found:
        raise ClientError(f"vhost {vhost!r} of {address.location} has no parking lots: is it the right vhost?")
    return found


def list_queues(management: str | None, address: BrokerAddress) -> list[QueueInfo]:
    """Return the queues of the vhost. Raises QueuesNotListed."""
    return _list(management, address, f"queues/{quote(_vhost(address), safe='')}?disable_stats=true", QueueInfo)


def expected_lots(services: Iterable[str]) -> list[str]:
    """Return the parking lots that the services should have."""
    return [*sorted(f"{name}{LOT_SUFFIX}" for name in services), UNROUTED]


def find_parking_lots(queues: Sequence[QueueInfo], bindings: Iterable[BindingInfo]) -> list[str]:
    """Return the parking lots by name, the queue of unrouted events last.

    A queue is a parking lot if its name ends in `.dlq`, or if it is a dead-letter target and has no dead-letter
    exchange: one with a dead-letter exchange holds messages for a delayed retry.
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


def select_parking_lots(
    names: Sequence[str], lots: Sequence[str], address: BrokerAddress, *, complete: bool
) -> list[str]:
    """Return the parking lots that `names` name, all `lots` if `names` is empty.

    `complete` states that `lots` holds every parking lot; a name that is not among them then raises ClientError.
    """
    found = []
    for name in names:
        candidates = (name, f"{name}{LOT_SUFFIX}", f"{name}.queue", f"{name.removesuffix('.queue')}{LOT_SUFFIX}")
        match = next((each for each in candidates if each in lots), None)
        if match is None and complete:
            raise ClientError(f"no parking lot {name!r} at {address.location}; there are: {', '.join(lots)}")
        found.append(match or (name if name.endswith(LOT_SUFFIX) else f"{name}{LOT_SUFFIX}"))
    return list(dict.fromkeys(found)) or list(lots)


def _vhost(address: BrokerAddress) -> str:
    return unquote(urlsplit(address.url).path.removeprefix("/")) or "/"


def _list(management: str | None, address: BrokerAddress, path: str, kind: type[Any]) -> list[Any]:
    if management is None:
        raise QueuesNotListed("the address of the management API is not known (--management-url)")
    try:
        return _get(management, address, path, kind)
    except NoResponse as error:
        raise QueuesNotListed(f"the list of queues cannot be read from {management} ({error})") from error


def _get(management: str, address: BrokerAddress, path: str, kind: type[Any]) -> list[Any]:
    url = f"{management.rstrip('/')}/api/{path}"
    response = request("GET", url, headers=basic_auth(*address.login()), ca_file=address.ca_file, timeout=TIMEOUT)
    if response.is_error:
        raise NoResponse(f"{_reason(response.body)} ({response.status})")
    try:
        return msgspec.json.decode(response.body, type=list[kind])  # type: ignore[valid-type]
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise NoResponse(f"not a response of the management API: {error}") from error


def _reason(body: bytes) -> str:
    try:
        return str(json.loads(body)["reason"])
    except (ValueError, KeyError, TypeError):
        return "refused"
