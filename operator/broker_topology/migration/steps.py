"""What a migration does next. Pure: what is at the broker now, and what the queue is to be, decide alone.

The way of the messages, in the order of time (Q is the queue, the rest are `MigrationNames`):

    sources -> Q                                         before
               Q => backlog                              a shovel, beside the consumers of Q, until Q is deleted
    sources -> entry -> Q                                the same queue by two ways is one copy
    sources -> entry -(no binding: alternate)-> aside    one unbinding is the whole switch: nothing twice, nothing lost
               Q is deleted and declared anew            once empty and still; its consumers subscribe again
               backlog => Q, then aside => Q             older messages first
    sources -> entry -> Q                                one binding is the switch back
    sources -> Q                                         after, once aside and backlog are empty and still

Every move may be repeated, and after each one the next follows from what is there. A queue is deleted only when the
broker has shown it without any message (waiting for its retry, unacknowledged and half dead-lettered ones included) and
nothing has happened in it for longer than it takes the broker to notice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from broker_topology.broker.management_api import path
from broker_topology.migration.shovel import IN_FLIGHT, Shovel, target
from broker_topology.migration.state import MAX_NAME_BYTES, BindingSource, MigrationState, QueueSnapshot
from broker_topology.planning.state import Body

FIRST = 10
"""Priority of the shovel that empties the queue, once only what comes back late (retries) is left in it."""
UNCHANGED_SECONDS = 2.0
"""Without any event in the backlog it is taken for empty, and what came later may follow."""
HASHED = frozenset({"x-consistent-hash", "x-modulus-hash", "x-local-random"})


class ApiRequest(msgspec.Struct, frozen=True):
    """One request. Sent twice it does no harm."""

    method: str
    target: str
    body: Any = None


class SendRequests(msgspec.Struct, frozen=True):
    """Do these one after the other, then look again."""

    writes: tuple[ApiRequest, ...]


class Wait(msgspec.Struct, frozen=True):
    """Look again later."""

    why: str


class MigrationBlocked(msgspec.Struct, frozen=True):
    """Cannot be done as things are. No binding and no message has been touched."""

    why: str


class MigrationDone(msgspec.Struct, frozen=True):
    """The queue is as it is wanted, and nothing is left of the migration."""


MigrationStep = SendRequests | Wait | MigrationBlocked | MigrationDone


def decide(site: MigrationState, wanted: Body, settle_seconds: float) -> MigrationStep:
    """The next move."""
    if site.leaderless:
        return SendRequests(tuple(ApiRequest("DELETE", path("queues", site.vhost, name)) for name in site.leaderless))
    if site.queue is None:
        return (
            MigrationDone()
            if site.nothing
            else SendRequests((*_without(site, *site.names.shovels), _put_queue(site, wanted)))
        )
    if site.queue.body == wanted:
        return _return(site, site.queue, settle_seconds)
    if site.nothing and (reason := refusal(site, site.queue, wanted)) is not None:
        return MigrationBlocked(reason)
    return _leave(site, site.queue, wanted, settle_seconds)


def refusal(site: MigrationState, queue: QueueSnapshot, wanted: Body) -> str | None:
    """Why these messages cannot be moved without losing something."""
    kinds = {str(body["arguments"].get("x-queue-type", "classic")) for body in (queue.body, wanted)}
    if "stream" in kinds:
        return "the offsets of a stream would not survive; make a new stream under another name"
    if queue.exclusive or queue.body["auto_delete"] or wanted["auto_delete"]:
        return "it lives only as long as its consumers; end them, and it will be made anew"
    hashed = sorted({each.source for each in site.direct if site.source_types.get(each.source) in HASHED})
    if hashed:
        return f"exchange {', '.join(hashed)} spreads messages over its bindings, and a migration would change them"
    if len(site.names.backlog.encode()) > MAX_NAME_BYTES:
        return f"its name is too long: {site.names.backlog} would have more than {MAX_NAME_BYTES} bytes"
    return None


def _leave(site: MigrationState, queue: QueueSnapshot, wanted: Body, settle_seconds: float) -> MigrationStep:
    """Everything out of the old queue, then the queue itself."""
    writes = [*_without(site, site.names.back, site.names.last), *_places(site, wanted)]
    limits = sorted({limit for place in (site.aside, site.backlog) if place is not None for limit in place.limits})
    if not writes and limits and not site.shovels:
        return MigrationBlocked(
            f"a policy sets {', '.join(limits)} for the queues that would hold its messages meanwhile; "
            f"make its pattern leave out names that begin with {site.names.entry}"
        )
    writes = writes or [*_empty(site, queue, settle_seconds)] or [*_enter(site, queue)]
    return SendRequests(tuple(writes)) if writes else Wait(_emptying(site, queue, settle_seconds))


def _return(site: MigrationState, queue: QueueSnapshot, settle_seconds: float) -> MigrationStep:
    """Everything into the queue as it is wanted, then what the migration made is taken away."""
    if site.nothing:
        return MigrationDone()
    over = _over(site, settle_seconds)
    writes = [*_without(site, site.names.out)] or ([] if over else [*_bring_back(site)])
    if not writes and _away(site) and not _nearly_back(site):
        return Wait(_returning(site))
    writes = writes or [*_reenter(site, queue)] or ([*_clear(site)] if over else [])
    return SendRequests(tuple(writes)) if writes else Wait(_returning(site))


def _away(site: MigrationState) -> bool:
    """Whether what is published goes aside."""
    return site.names.entry in site.exchanges and site.queue is not None and not site.queue.from_(site.names.entry)


def _over(site: MigrationState, settle_seconds: float) -> bool:
    """Whether nothing is left outside of the queue, and nothing can come any more."""
    places = [each for each in (site.aside, site.backlog) if each is not None]
    return not _away(site) and all(each.messages == 0 and each.still_seconds >= settle_seconds for each in places)


def _nearly_back(site: MigrationState) -> bool:
    """Whether no more is left outside than is on its way: then the newest may go straight to the queue."""
    backlog_back = site.backlog is None or site.backlog.messages == 0
    return backlog_back and (
        site.aside is None or (site.aside.messages <= IN_FLIGHT and site.names.last in site.shovels)
    )


def _places(site: MigrationState, wanted: Body) -> Iterator[ApiRequest]:
    """What must exist before a binding is touched. The entry last: it leads somewhere from its first moment."""
    arguments = _place_arguments(wanted)
    for name, held in ((site.names.aside, site.aside), (site.names.backlog, site.backlog)):
        if held is None:
            yield ApiRequest("PUT", path("queues", site.vhost, name), {"durable": True, "arguments": arguments})
    yield from _exchange(site, site.names.aside, site.aside, internal=True)
    yield from _exchange(site, site.names.backlog, site.backlog, internal=False)
    if site.names.entry not in site.exchanges:
        yield _put_exchange(site, site.names.entry, internal=True)


def _exchange(site: MigrationState, name: str, behind: QueueSnapshot | None, *, internal: bool) -> Iterator[ApiRequest]:
    """An exchange of the migration in front of the queue `behind` it."""
    if name not in site.exchanges:
        yield _put_exchange(site, name, internal=internal)
    if behind is None or not behind.from_(name):
        yield _bind(site, name, "q", site.names.queue if name == site.names.home else name)


def _bring_back(site: MigrationState) -> Iterator[ApiRequest]:
    """The way back and the shovels on it."""
    if site.aside is None and site.backlog is None:
        return
    if site.aside is not None:
        yield from _exchange(site, site.names.aside, site.aside, internal=True)
    yield from _exchange(site, site.names.home, site.queue, internal=False)
    if site.backlog is not None:
        yield from _shovel(site, site.names.back, Shovel(site.names.backlog, site.names.home))
    first_back = site.backlog is None or (
        site.backlog.messages == 0 and site.backlog.still_seconds >= UNCHANGED_SECONDS
    )
    if site.aside is not None and (first_back or site.names.last in site.shovels):
        yield from _shovel(site, site.names.last, Shovel(site.names.aside, site.names.home))


def _enter(site: MigrationState, queue: QueueSnapshot) -> Iterator[ApiRequest]:
    """First every binding leads to the entry as well, which leads to the queue; then none leads to the queue alone;
    then nothing does."""
    if not site.direct:
        yield from (_unbind(site, each) for each in queue.bindings if each.source == site.names.entry)
    elif missing := _missing(site.direct, site.entered):
        if not site.entered and not queue.from_(site.names.entry):
            yield _bind(site, site.names.entry, "q", site.names.queue)
        yield from (_bind(site, each.source, "e", site.names.entry, each) for each in missing)
    else:
        yield from (_unbind(site, each) for each in site.direct)


def _empty(site: MigrationState, queue: QueueSnapshot, settle_seconds: float) -> Iterator[ApiRequest]:
    """The shovel; and once there is nothing left for it and nothing can come, the end of the queue."""
    cut_off = not site.direct and not queue.from_(site.names.entry)
    if cut_off and queue.messages == 0 and queue.still_seconds >= settle_seconds:
        yield from _without(site, site.names.out)
        yield ApiRequest("DELETE", path("queues", site.vhost, site.names.queue))
    else:
        out = Shovel(site.names.queue, site.names.backlog, _priority(site, queue))
        yield from _shovel(site, site.names.out, out)


def _reenter(site: MigrationState, queue: QueueSnapshot) -> Iterator[ApiRequest]:
    """First the entry leads to the queue, then every binding does by itself as well; then the entry is not needed."""
    entry = site.names.entry
    if entry not in site.exchanges:
        return
    if not queue.from_(entry):
        yield _bind(site, entry, "q", site.names.queue)
    elif missing := _missing(site.entered, site.direct):
        yield from (_bind(site, each.source, "q", site.names.queue, each) for each in missing)
    else:
        yield _remove_exchange(site, entry)


def _clear(site: MigrationState) -> Iterator[ApiRequest]:
    """What held the messages, when it holds none any more."""
    yield from _without(site, *site.names.shovels)
    yield from (_remove_exchange(site, name) for name in site.names.exchanges if name in site.exchanges)
    places = ((site.names.backlog, site.backlog), (site.names.aside, site.aside))
    yield from (ApiRequest("DELETE", path("queues", site.vhost, name)) for name, held in places if held is not None)


def _place_arguments(wanted: Body) -> dict[str, Any]:
    """No limit of any kind. What expires meanwhile is dead-lettered as it would be in the queue."""
    given: Mapping[str, Any] = wanted["arguments"]
    names = ["x-dead-letter-exchange", "x-dead-letter-routing-key"]
    if given.get("x-dead-letter-strategy") == "at-least-once":
        names += ["x-dead-letter-strategy", "x-overflow"]
    kept = {name: given[name] for name in names if name in given}
    return {"x-queue-type": "quorum", "x-delivery-limit": -1} | kept


def _priority(site: MigrationState, queue: QueueSnapshot) -> int:
    """Beside the consumers as long as there is enough for all. Before them when what is left comes back to whoever
    rejects it, and where only one consumer gets anything at all."""
    before: Mapping[str, Any] = site.shovels.get(site.names.out, {}).get("src-consumer-args") or {}
    single = queue.arguments.get("x-single-active-consumer") is True
    late = queue.ready == 0 and queue.messages > queue.unacknowledged
    return FIRST if single or late or before.get("x-priority") == FIRST else 0


def _shovel(site: MigrationState, name: str, wanted: Shovel) -> Iterator[ApiRequest]:
    definition = wanted.definition(site.vhost)
    if site.shovels.get(name) != definition:
        yield ApiRequest("PUT", target(site.vhost, name), {"value": definition})


def _without(site: MigrationState, *shovels: str) -> Iterator[ApiRequest]:
    for name in shovels:
        if name in site.shovels:
            yield ApiRequest("DELETE", target(site.vhost, name))


def _missing(wanted: tuple[BindingSource, ...], there: tuple[BindingSource, ...]) -> list[BindingSource]:
    routes = {each.route for each in there}
    return [each for each in wanted if each.route not in routes]


def _put_queue(site: MigrationState, wanted: Body) -> ApiRequest:
    return ApiRequest("PUT", path("queues", site.vhost, site.names.queue), wanted)


def _put_exchange(site: MigrationState, name: str, *, internal: bool) -> ApiRequest:
    """What finds no binding goes aside, so that nothing is ever dropped on the way."""
    arguments = {} if name == site.names.aside else {"alternate-exchange": site.names.aside}
    body = {"type": "fanout", "durable": True, "internal": internal, "arguments": arguments}
    return ApiRequest("PUT", path("exchanges", site.vhost, name), body)


def _remove_exchange(site: MigrationState, name: str) -> ApiRequest:
    return ApiRequest("DELETE", path("exchanges", site.vhost, name))


def _bind(site: MigrationState, source: str, kind: str, name: str, like: BindingSource | None = None) -> ApiRequest:
    body = {
        "routing_key": like.routing_key if like else "",
        "arguments": json.loads(like.arguments) if like else {},
    }
    return ApiRequest("POST", path("bindings", site.vhost, "e", source, kind, name), body)


def _unbind(site: MigrationState, each: BindingSource) -> ApiRequest:
    return ApiRequest("DELETE", path("bindings", site.vhost, "e", each.source, "q", site.names.queue, each.handle))


def _emptying(site: MigrationState, queue: QueueSnapshot, settle_seconds: float) -> str:
    """How the emptying of the old queue stands."""
    if trouble := site.troubles.get(site.names.out):
        return f"its messages cannot be moved aside yet: {trouble}"
    if queue.messages == 0:
        return f"its old queue is empty; it is watched for {settle_seconds:g} s before it is deleted"
    late = max(0, queue.messages - queue.ready - queue.unacknowledged)
    return (
        f"moving its messages aside: {queue.ready:,} ready, {queue.unacknowledged:,} with a consumer, "
        f"{late:,} waiting for a retry or for their dead-letter exchange"
    )


def _returning(site: MigrationState) -> str:
    """How the way back stands."""
    if trouble := site.troubles.get(site.names.back) or site.troubles.get(site.names.last):
        return f"its messages cannot be moved back yet: {trouble}"
    backlog, aside = (held.messages if held else 0 for held in (site.backlog, site.aside))
    if backlog or aside:
        return f"moving its messages back: {backlog:,} older ones, {aside:,} that came meanwhile"
    return "its messages are back; what held them is watched a while before it is deleted"
