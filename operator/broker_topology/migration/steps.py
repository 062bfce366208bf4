"""Decides the next step of a migration from the state of the broker and the desired queue. Pure.

The path of the messages, in the order of time (Q is the queue, the other names are `MigrationNames`):

    sources -> Q                                         before
               Q => backlog                              a shovel, beside the consumers of Q, until Q is deleted
    sources -> entry -> Q                                two routes to one queue deliver one copy
    sources -> entry -(no binding: alternate)-> aside    one unbinding is the whole switch: no duplicate, no loss
               Q is deleted and declared again           once empty and unchanged; its consumers subscribe again
               backlog => Q, then aside => Q             older messages first
    sources -> entry -> Q                                one binding is the switch back
    sources -> Q                                         after, once aside and backlog are empty and unchanged

Every step may be repeated, and the next one follows from the state after it. A queue is deleted only if the broker has
reported no message in it (including those that wait for a retry, are unacknowledged or partly dead-lettered) and no
event has happened in it for longer than the broker needs to report it.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from broker_topology.broker.management_api import path
from broker_topology.migration.shovel import IN_FLIGHT, Shovel, shovel_path
from broker_topology.migration.state import BindingSource, MigrationState, QueueSnapshot
from broker_topology.planning.state import Body

MAX_NAME_BYTES = 255
FIRST = 10
"""Priority of the shovel that empties the queue, once only messages that return late (retries) are left in it."""
UNCHANGED_SECONDS = 2.0
"""A backlog without events for this time counts as empty, and newer messages may follow."""
HASHED = frozenset({"x-consistent-hash", "x-modulus-hash", "x-local-random"})


class ApiRequest(msgspec.Struct, frozen=True):
    """One idempotent request."""

    method: str
    target: str
    body: Any = None


class SendRequests(msgspec.Struct, frozen=True):
    """Send these requests one after the other, then read the state again."""

    requests: tuple[ApiRequest, ...]


class Wait(msgspec.Struct, frozen=True):
    """Read the state again later."""

    reason: str


class MigrationBlocked(msgspec.Struct, frozen=True):
    """The migration is not possible at the moment. No binding and no message was moved."""

    reason: str


class MigrationDone(msgspec.Struct, frozen=True):
    """The queue is as desired, and no object of the migration is left."""


MigrationStep = SendRequests | Wait | MigrationBlocked | MigrationDone


def decide(state: MigrationState, desired: Body, settle_seconds: float) -> MigrationStep:
    """Returns the next step. `settle_seconds` is how long a queue must be unchanged before it counts as empty."""
    if state.leaderless:
        return SendRequests(tuple(_delete_queue(state, name) for name in state.leaderless))
    if state.queue is None:
        if state.untouched:
            return MigrationDone()
        declare = ApiRequest("PUT", path("queues", state.vhost, state.names.queue), desired)
        return SendRequests((*_stop(state, *state.names.shovels), declare))
    if state.queue.body == desired:
        return _move_back(state, state.queue, settle_seconds)
    if state.untouched and (reason := refusal(state, state.queue, desired)) is not None:
        return MigrationBlocked(reason)
    return _move_out(state, state.queue, desired, settle_seconds)


def refusal(state: MigrationState, queue: QueueSnapshot, desired: Body) -> str | None:
    """Returns why these messages cannot be moved without a loss, or None."""
    kinds = {str(body["arguments"].get("x-queue-type", "classic")) for body in (queue.body, desired)}
    if "stream" in kinds:
        return "the offsets of a stream would not survive; make a new stream under another name"
    if queue.exclusive or queue.body["auto_delete"] or desired["auto_delete"]:
        return "it exists only as long as its consumers; stop them, and it will be declared again"
    hashed = sorted({each.source for each in state.direct if state.exchange_types.get(each.source) in HASHED})
    if hashed:
        return f"exchange {', '.join(hashed)} spreads messages over its bindings, and a migration would change them"
    if len(state.names.backlog.encode()) > MAX_NAME_BYTES:
        return f"its name is too long: {state.names.backlog} would have more than {MAX_NAME_BYTES} bytes"
    return None


def _move_out(state: MigrationState, queue: QueueSnapshot, desired: Body, settle_seconds: float) -> MigrationStep:
    """Moves everything out of the old queue, then deletes it."""
    requests = [*_stop(state, state.names.back, state.names.last), *_make_buffers(state, desired)]
    limits = sorted({limit for each in (state.aside, state.backlog) if each is not None for limit in each.limits})
    if not requests and limits and not state.shovels:
        return MigrationBlocked(
            f"a policy sets {', '.join(limits)} for the queues that would hold its messages meanwhile; "
            f"make its pattern leave out names that begin with {state.names.entry}"
        )
    requests = requests or [*_empty_queue(state, queue, settle_seconds)] or [*_divert(state, queue)]
    return SendRequests(tuple(requests)) if requests else Wait(_progress_out(state, queue, settle_seconds))


def _move_back(state: MigrationState, queue: QueueSnapshot, settle_seconds: float) -> MigrationStep:
    """Moves everything into the desired queue, then deletes the objects of the migration."""
    if state.untouched:
        return MigrationDone()
    finished = _is_finished(state, settle_seconds)
    requests = [*_stop(state, state.names.out)] or ([] if finished else [*_start_return(state)])
    if not requests and _is_diverted(state) and not _is_nearly_back(state):
        return Wait(_progress_back(state))
    requests = requests or [*_restore_bindings(state, queue)] or ([*_clean_up(state)] if finished else [])
    return SendRequests(tuple(requests)) if requests else Wait(_progress_back(state))


def _is_diverted(state: MigrationState) -> bool:
    """Returns whether new messages are routed aside."""
    queue, entry = state.queue, state.names.entry
    return entry in state.exchanges and queue is not None and not queue.is_bound_to(entry)


def _is_finished(state: MigrationState, settle_seconds: float) -> bool:
    """Returns whether no message is outside of the queue, and none can arrive there."""
    buffers = [each for each in (state.aside, state.backlog) if each is not None]
    empty = all(each.messages == 0 and each.unchanged_seconds >= settle_seconds for each in buffers)
    return empty and not _is_diverted(state)


def _is_nearly_back(state: MigrationState) -> bool:
    """Returns whether only messages in flight are left outside: then new ones may go directly to the queue."""
    backlog_back = state.backlog is None or state.backlog.messages == 0
    return backlog_back and (
        state.aside is None or (state.aside.messages <= IN_FLIGHT and state.names.last in state.shovels)
    )


def _make_buffers(state: MigrationState, desired: Body) -> Iterator[ApiRequest]:
    """Makes what must exist before a binding changes. The entry is last, so it always leads somewhere."""
    arguments = _buffer_arguments(desired)
    for name, buffer in ((state.names.aside, state.aside), (state.names.backlog, state.backlog)):
        if buffer is None:
            yield ApiRequest("PUT", path("queues", state.vhost, name), {"durable": True, "arguments": arguments})
    yield from _exchange(state, state.names.aside, state.aside, internal=True)
    yield from _exchange(state, state.names.backlog, state.backlog, internal=False)
    if state.names.entry not in state.exchanges:
        yield _put_exchange(state, state.names.entry, internal=True)


def _exchange(state: MigrationState, name: str, queue: QueueSnapshot | None, *, internal: bool) -> Iterator[ApiRequest]:
    """Makes an exchange of the migration that leads to `queue`."""
    if name not in state.exchanges:
        yield _put_exchange(state, name, internal=internal)
    if queue is None or not queue.is_bound_to(name):
        yield _bind(state, name, "q", state.names.queue if name == state.names.home else name)


def _start_return(state: MigrationState) -> Iterator[ApiRequest]:
    """Makes the path back and the shovels on it."""
    names, aside, backlog = state.names, state.aside, state.backlog
    if aside is None and backlog is None:
        return
    if aside is not None:
        yield from _exchange(state, names.aside, aside, internal=True)
    yield from _exchange(state, names.home, state.queue, internal=False)
    if backlog is not None:
        yield from _run_shovel(state, names.back, Shovel(names.backlog, names.home))
    older_back = backlog is None or (backlog.messages == 0 and backlog.unchanged_seconds >= UNCHANGED_SECONDS)
    if aside is not None and (older_back or names.last in state.shovels):
        yield from _run_shovel(state, names.last, Shovel(names.aside, names.home))


def _divert(state: MigrationState, queue: QueueSnapshot) -> Iterator[ApiRequest]:
    """Routes new messages aside: first every binding also leads to the entry, which leads to the queue; then no binding
    leads directly to the queue; then the entry does not lead to it either."""
    names = state.names
    if not state.direct:
        yield from (_unbind(state, each) for each in queue.bindings if each.source == names.entry)
    elif missing := _missing(state.direct, state.entered):
        if not state.entered and not queue.is_bound_to(names.entry):
            yield _bind(state, names.entry, "q", names.queue)
        yield from (_bind(state, each.source, "e", names.entry, each) for each in missing)
    else:
        yield from (_unbind(state, each) for each in state.direct)


def _empty_queue(state: MigrationState, queue: QueueSnapshot, settle_seconds: float) -> Iterator[ApiRequest]:
    """Runs the shovel; deletes the queue once it is empty and no message can arrive."""
    cut_off = not state.direct and not queue.is_bound_to(state.names.entry)
    if cut_off and queue.messages == 0 and queue.unchanged_seconds >= settle_seconds:
        yield from _stop(state, state.names.out)
        yield _delete_queue(state, state.names.queue)
    else:
        out = Shovel(state.names.queue, state.names.backlog, _priority(state, queue))
        yield from _run_shovel(state, state.names.out, out)


def _restore_bindings(state: MigrationState, queue: QueueSnapshot) -> Iterator[ApiRequest]:
    """Yields requests: the entry leads to the queue, then every binding does so directly; then the entry is deleted."""
    entry = state.names.entry
    if entry not in state.exchanges:
        return
    if not queue.is_bound_to(entry):
        yield _bind(state, entry, "q", state.names.queue)
    elif missing := _missing(state.entered, state.direct):
        yield from (_bind(state, each.source, "q", state.names.queue, each) for each in missing)
    else:
        yield _delete_exchange(state, entry)


def _clean_up(state: MigrationState) -> Iterator[ApiRequest]:
    """Deletes the empty buffers and all that belongs to them."""
    yield from _stop(state, *state.names.shovels)
    yield from (_delete_exchange(state, name) for name in state.names.exchanges if name in state.exchanges)
    for name, buffer in ((state.names.backlog, state.backlog), (state.names.aside, state.aside)):
        if buffer is not None:
            yield _delete_queue(state, name)


def _buffer_arguments(desired: Body) -> dict[str, Any]:
    """Arguments of the buffer queue: no limits, but the dead-lettering of the queue, for messages that expire there."""
    given: Mapping[str, Any] = desired["arguments"]
    names = ["x-dead-letter-exchange", "x-dead-letter-routing-key"]
    if given.get("x-dead-letter-strategy") == "at-least-once":
        names += ["x-dead-letter-strategy", "x-overflow"]
    kept = {name: given[name] for name in names if name in given}
    return {"x-queue-type": "quorum", "x-delivery-limit": -1} | kept


def _priority(state: MigrationState, queue: QueueSnapshot) -> int:
    """Returns the shovel's priority: that of the consumers while there are enough messages for all; above them when the
    remaining messages return to the consumer that rejects them, and when only a single consumer is active."""
    before: Mapping[str, Any] = state.shovels.get(state.names.out, {}).get("src-consumer-args") or {}
    single = queue.arguments.get("x-single-active-consumer") is True
    late = queue.ready == 0 and queue.messages > queue.unacknowledged
    return FIRST if single or late or before.get("x-priority") == FIRST else 0


def _run_shovel(state: MigrationState, name: str, desired: Shovel) -> Iterator[ApiRequest]:
    definition = desired.definition(state.vhost)
    if state.shovels.get(name) != definition:
        yield ApiRequest("PUT", shovel_path(state.vhost, name), {"value": definition})


def _stop(state: MigrationState, *shovels: str) -> Iterator[ApiRequest]:
    for name in shovels:
        if name in state.shovels:
            yield ApiRequest("DELETE", shovel_path(state.vhost, name))


def _missing(desired: tuple[BindingSource, ...], existing: tuple[BindingSource, ...]) -> list[BindingSource]:
    routes = {each.route for each in existing}
    return [each for each in desired if each.route not in routes]


def _delete_queue(state: MigrationState, name: str) -> ApiRequest:
    return ApiRequest("DELETE", path("queues", state.vhost, name))


def _put_exchange(state: MigrationState, name: str, *, internal: bool) -> ApiRequest:
    """Creates an exchange. A message without a matching binding goes aside, so that none is dropped."""
    arguments = {} if name == state.names.aside else {"alternate-exchange": state.names.aside}
    body = {"type": "fanout", "durable": True, "internal": internal, "arguments": arguments}
    return ApiRequest("PUT", path("exchanges", state.vhost, name), body)


def _delete_exchange(state: MigrationState, name: str) -> ApiRequest:
    return ApiRequest("DELETE", path("exchanges", state.vhost, name))


def _bind(state: MigrationState, source: str, kind: str, name: str, like: BindingSource | None = None) -> ApiRequest:
    body = {"routing_key": like.routing_key if like else "", "arguments": json.loads(like.arguments) if like else {}}
    return ApiRequest("POST", path("bindings", state.vhost, "e", source, kind, name), body)


def _unbind(state: MigrationState, each: BindingSource) -> ApiRequest:
    queue = state.names.queue
    return ApiRequest("DELETE", path("bindings", state.vhost, "e", each.source, "q", queue, each.properties_key))


def _progress_out(state: MigrationState, queue: QueueSnapshot, settle_seconds: float) -> str:
    if error := state.shovel_errors.get(state.names.out):
        return f"its messages cannot be moved aside yet: {error}"
    if queue.messages == 0:
        return f"its old queue is empty; it is watched for {settle_seconds:g} s before it is deleted"
    late = max(0, queue.messages - queue.ready - queue.unacknowledged)
    return (
        f"moving its messages aside: {queue.ready:,} ready, {queue.unacknowledged:,} with a consumer, "
        f"{late:,} waiting for a retry or for their dead-letter exchange"
    )


def _progress_back(state: MigrationState) -> str:
    if error := state.shovel_errors.get(state.names.back) or state.shovel_errors.get(state.names.last):
        return f"its messages cannot be moved back yet: {error}"
    backlog, aside = (buffer.messages if buffer else 0 for buffer in (state.backlog, state.aside))
    if backlog or aside:
        return f"moving its messages back: {backlog:,} older ones, {aside:,} that arrived meanwhile"
    return "its messages are back; the empty buffers are watched for a while before they are deleted"
