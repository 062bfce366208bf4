"""Checks queues against what RabbitMQ 4.3 accepts on each type of queue.

Arguments that the broker refuses (`x-max-priority` on a quorum queue) are errors. Arguments that it accepts and
ignores, including every misspelt name, are warnings. Fields are checked against the whole graph; arguments with the
broker's names are sent as they are.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from broker_topology.findings import Finding, ObjectRef, did_you_mean
from broker_topology.resource.model import LoadedTopology
from broker_topology.resource.objects import Queue
from broker_topology.resource.queue_arguments import EVERY, FIELDS, IGNORED, KNOWN, queue_arguments
from broker_topology.rules.graph import VhostGraph

HINTS = {
    "x-max-priority": "quorum queues of 4.3 order by priority without it (0 to 31, 4 when a message has none)",
    "x-queue-mode": "lazy mode is gone, every queue is lazy",
    "x-queue-version": "there is one version left",
}


def queue_findings(item: LoadedTopology, graph: VhostGraph) -> Iterator[Finding]:
    """Yields the findings about the queues of one resource."""
    for name, queue in item.spec.queues.items():
        ref = ObjectRef(item.origin, "queues", name)
        for where, message in _errors(name, queue, graph):
            yield ref.finding(message, where)
        yield from argument_warnings(ref, queue.type, queue.arguments)


def argument_errors(kind: str, arguments: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields the arguments that the broker refuses on this type of queue, each with a message."""
    for argument, value in arguments.items():
        if argument == "x-queue-type":
            yield f"arguments.{argument}", "use the field type"
        elif argument in EVERY - KNOWN[kind] - IGNORED[kind]:
            hint = HINTS.get(argument, "")
            message = f"RabbitMQ 4.3 refuses this argument on {kind} queues{': ' if hint else ''}{hint}"
            yield f"arguments.{argument}", message
        elif value is None:
            yield f"arguments.{argument}", "must not be empty; leave it out"


def argument_warnings(ref: ObjectRef, kind: str, arguments: Mapping[str, Any]) -> Iterator[Finding]:
    """Yields the arguments that the broker ignores, and those that are only checked as a field."""
    for argument in arguments:
        if argument in FIELDS and argument in KNOWN[kind]:
            message = f"is not checked in this form; the field {FIELDS[argument]} is"
        elif argument in IGNORED[kind] or (argument.startswith("x-") and argument not in EVERY):
            hint = HINTS.get(argument)
            suffix = f": {hint}" if hint else did_you_mean(argument, KNOWN[kind])
            message = f"RabbitMQ 4.3 ignores this argument on {kind} queues{suffix}"
        else:
            continue
        yield ref.finding(message, f"arguments.{argument}", warning=True)


def _errors(name: str, queue: Queue, graph: VhostGraph) -> Iterator[tuple[str, str]]:
    yield from argument_errors(queue.type, queue.arguments)
    for argument in queue_arguments(msgspec.structs.replace(queue, arguments={})):
        if argument in queue.arguments and argument != "x-queue-type":
            yield f"arguments.{argument}", f"duplicates the field {FIELDS[argument]}"
        if argument not in KNOWN[queue.type]:
            yield FIELDS[argument], f"{queue.type} queues do not support it"
    yield from _shape(queue)
    if queue.dead_letter is not None:
        yield from _dead_letter(name, queue, graph)


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
    if dead_letter is None or queue.type == "stream":  # refused by its arguments
        return
    if queue.type == "classic" and dead_letter.strategy == "at-least-once":
        yield "deadLetter.strategy", "at-least-once needs a quorum queue"
    at_least_once = queue.type == "quorum" and dead_letter.strategy in {None, "at-least-once"}
    if at_least_once and queue.overflow not in {None, "reject-publish"}:
        yield "overflow", "at-least-once dead-lettering needs reject-publish; anything else silently turns it off"
    exchange, routing_key = dead_letter.exchange, dead_letter.routing_key
    if exchange == "":
        if routing_key is not None and not graph.has_queue(routing_key):
            yield "deadLetter.routingKey", graph.unknown_queue(routing_key)
        return
    if not graph.has_exchange(exchange):
        yield "deadLetter.exchange", graph.unknown_exchange(exchange)
        return
    reached = graph.routes.queues(exchange, routing_key)
    if not reached and routing_key is not None:
        yield "deadLetter.routingKey", f"{routing_key} reaches no queue through {exchange}"
    elif not reached:
        yield "deadLetter.exchange", f"no queue is bound to exchange {exchange}"
    elif routing_key is not None and reached == {name}:
        yield "deadLetter", "leads back to this same queue"
