"""What RabbitMQ 4.3 takes on which type of queue.

The broker refuses some arguments (`x-max-priority` on a quorum queue), and so does this. It silently accepts every name
it does not know, a misspelt one included: a warning. Fields are checked against the whole graph; what stands in
`arguments`, in the broker's words, is taken as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from broker_topology.findings import Finding, ObjectRef, did_you_mean
from broker_topology.planning.desired import FIELD_ARGUMENTS, queue_arguments
from broker_topology.resource.model import LoadedTopology, Queue
from broker_topology.rules.graph import VhostGraph

_DEAD_LETTER = {"x-dead-letter-exchange", "x-dead-letter-routing-key"}

KNOWN_ARGUMENTS: dict[str, frozenset[str]] = {
    "quorum": frozenset(
        _DEAD_LETTER
        | {
            "x-consumer-disconnected-timeout",
            "x-consumer-timeout",
            "x-dead-letter-strategy",
            "x-delayed-retry-max",
            "x-delayed-retry-min",
            "x-delayed-retry-type",
            "x-delivery-limit",
            "x-expires",
            "x-max-length",
            "x-max-length-bytes",
            "x-message-ttl",
            "x-overflow",
            "x-queue-leader-locator",
            "x-queue-type",
            "x-quorum-initial-group-size",
            "x-single-active-consumer",
        }
    ),
    "stream": frozenset(
        {
            "x-initial-cluster-size",
            "x-max-age",
            "x-max-length-bytes",
            "x-queue-leader-locator",
            "x-queue-type",
            "x-stream-filter-size-bytes",
            "x-stream-max-segment-size-bytes",
        }
    ),
    "classic": frozenset(
        _DEAD_LETTER
        | {
            "x-expires",
            "x-max-length",
            "x-max-length-bytes",
            "x-max-priority",
            "x-message-ttl",
            "x-overflow",
            "x-queue-leader-locator",
            "x-queue-type",
            "x-single-active-consumer",
        }
    ),
}
"""As 4.3.6 reports its own capabilities, without what it accepts and ignores."""

IGNORED_ARGUMENTS = {
    "quorum": frozenset({"x-max-in-memory-bytes", "x-max-in-memory-length"}),
    "stream": frozenset[str](),
    "classic": frozenset({"x-queue-mode", "x-queue-version"}),
}
"""What 4.3.6 takes of former versions' arguments, without any effect."""

EVERY_ARGUMENT = frozenset().union(*KNOWN_ARGUMENTS.values(), *IGNORED_ARGUMENTS.values(), {"x-queue-master-locator"})
"""Of these, the broker refuses a queue with one that its type does not take."""

INSTEAD = {
    "x-max-priority": "quorum queues of 4.3 order by priority without it (0 to 31, 4 when a message has none)",
    "x-queue-mode": "lazy mode is gone, every queue is lazy",
    "x-queue-version": "there is one version left",
}


def queue_findings(item: LoadedTopology, graph: VhostGraph) -> Iterator[Finding]:
    """Every problem of the queues of one resource."""
    for name, queue in item.spec.queues.items():
        place = ObjectRef(item.origin, "queues", name)
        for where, message in _problems(name, queue, graph):
            yield place.finding(message, where)
        for argument, message in argument_warnings(queue.type, queue.arguments):
            yield place.finding(message, f"arguments.{argument}", warning=True)


def argument_problems(kind: str, arguments: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each argument that the broker refuses on this type of queue."""
    for argument, value in arguments.items():
        if argument == "x-queue-type":
            yield argument, "use the field type"
        elif argument in EVERY_ARGUMENT - KNOWN_ARGUMENTS[kind] - IGNORED_ARGUMENTS[kind]:
            hint = INSTEAD.get(argument, "")
            yield argument, f"RabbitMQ 4.3 refuses this argument on {kind} queues{': ' if hint else ''}{hint}"
        elif value is None:
            yield argument, "must not be empty; leave it out"


def argument_warnings(kind: str, arguments: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each argument that the broker takes without any effect, and each that no check understands in this form."""
    for argument in arguments:
        if argument in FIELD_ARGUMENTS and argument in KNOWN_ARGUMENTS[kind]:
            yield argument, f"is not checked in this form; the field {FIELD_ARGUMENTS[argument]} is"
        elif argument in IGNORED_ARGUMENTS[kind] or (argument.startswith("x-") and argument not in EVERY_ARGUMENT):
            hint = INSTEAD.get(argument)
            suffix = f": {hint}" if hint else did_you_mean(argument, KNOWN_ARGUMENTS[kind])
            yield argument, f"RabbitMQ 4.3 ignores this argument on {kind} queues{suffix}"


def _problems(name: str, queue: Queue, graph: VhostGraph) -> Iterator[tuple[str, str]]:
    yield from _arguments(queue)
    yield from _shape(queue)
    if queue.dead_letter is not None:
        yield from _dead_letter(name, queue, graph)


def _arguments(queue: Queue) -> Iterator[tuple[str, str]]:
    of_fields = queue_arguments(msgspec.structs.replace(queue, arguments={}))
    for argument, message in argument_problems(queue.type, queue.arguments):
        yield f"arguments.{argument}", message
    for argument in of_fields:
        if argument in queue.arguments and argument != "x-queue-type":
            yield f"arguments.{argument}", f"the field {FIELD_ARGUMENTS[argument]} says the same"
        if argument not in KNOWN_ARGUMENTS[queue.type]:
            yield FIELD_ARGUMENTS[argument], f"{queue.type} queues do not support it"


def _shape(queue: Queue) -> Iterator[tuple[str, str]]:
    if queue.type in {"quorum", "stream"}:
        if not queue.durable:
            yield "durable", f"{queue.type} queues are always durable"
        if queue.auto_delete:
            yield "autoDelete", f"{queue.type} queues cannot delete themselves"
    elif not queue.durable and not queue.auto_delete:
        yield "durable", "4.3 deprecates transient queues that are shared; make it durable"
    if queue.overflow == "reject-publish-dlx" and queue.type != "classic":
        yield "overflow", f"{queue.type} queues do not support reject-publish-dlx"
    if queue.retry is not None and queue.retry.max_seconds < queue.retry.min_seconds:
        yield "retry.maxSeconds", f"is less than minSeconds ({queue.retry.min_seconds:g})"


def _dead_letter(name: str, queue: Queue, graph: VhostGraph) -> Iterator[tuple[str, str]]:
    dead_letter = queue.dead_letter
    if dead_letter is None or queue.type == "stream":  # a stream has been refused already
        return
    if queue.type == "classic" and dead_letter.strategy == "at-least-once":
        yield "deadLetter.strategy", "at-least-once needs a quorum queue"
    at_least_once = queue.type == "quorum" and dead_letter.strategy in {None, "at-least-once"}
    if at_least_once and queue.overflow not in {None, "reject-publish"}:
        yield "overflow", "at-least-once dead-lettering needs reject-publish; anything else silently turns it off"
    if dead_letter.exchange == "":
        if dead_letter.routing_key is not None and not graph.has_queue(dead_letter.routing_key):
            yield "deadLetter.routingKey", graph.unknown_queue(dead_letter.routing_key)
        return
    if not graph.has_exchange(dead_letter.exchange):
        yield "deadLetter.exchange", graph.unknown_exchange(dead_letter.exchange)
        return
    reached = graph.routes.queues(dead_letter.exchange, dead_letter.routing_key)
    if not reached:
        yield (
            ("deadLetter.routingKey", f"{dead_letter.routing_key} reaches no queue through {dead_letter.exchange}")
            if dead_letter.routing_key is not None
            else ("deadLetter.exchange", f"no queue is bound to exchange {dead_letter.exchange}")
        )
    elif dead_letter.routing_key is not None and reached == {name}:
        yield "deadLetter", "leads back to this same queue"
