"""Super streams -> what the broker makes of them: an exchange, one stream for each partition, and their bindings.

The same as `rabbitmq-streams add_super_stream` declares, so that stream clients find it.
"""

from __future__ import annotations

from broker_topology.resource.declared import Binding, Exchange, Queue, SuperStream
from broker_topology.resource.model import Spec


def exchanges(spec: Spec) -> dict[str, Exchange]:
    """All exchanges of a resource, those of super streams among them."""
    made = {name: Exchange(type="direct", arguments={"x-super-stream": True}) for name in spec.super_streams}
    return made | spec.exchanges


def queues(spec: Spec) -> dict[str, Queue]:
    """All queues of a resource, the partitions of super streams among them."""
    made: dict[str, Queue] = {}
    for name, stream in spec.super_streams.items():
        for number in range(stream.partitions):
            made[partition(name, number)] = Queue(
                type="stream",
                max_age=stream.max_age,
                max_length_bytes=stream.max_length_bytes,
                arguments=stream.arguments,
            )
    return made | spec.queues


def bindings(spec: Spec) -> list[Binding]:
    """All bindings of a resource, those of super streams last."""
    made = list(spec.bindings)
    for name, stream in spec.super_streams.items():
        for number, routing_key in enumerate(routing_keys(stream)):
            made.append(
                Binding(
                    source=name,
                    queue=partition(name, number),
                    routing_key=routing_key,
                    arguments={"x-stream-partition-order": number},
                )
            )
    return made


def partition(name: str, number: int) -> str:
    """The stream that is this partition, counted from 0."""
    return f"{name}-{number}"


def routing_keys(stream: SuperStream) -> list[str]:
    """One for each partition (a list of another length is refused by `validation`)."""
    return stream.routing_keys or [str(number) for number in range(stream.partitions)]
