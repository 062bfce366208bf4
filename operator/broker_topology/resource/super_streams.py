"""Expands super streams into an exchange, one stream for each partition, and their bindings.

The result equals what `rabbitmq-streams add_super_stream` declares, so stream clients find it.
"""

from broker_topology.resource.model import Spec
from broker_topology.resource.objects import Binding, Exchange, Queue, SuperStream


def exchanges(spec: Spec) -> dict[str, Exchange]:
    """Returns all exchanges of a resource, including those of super streams."""
    made = {name: Exchange(type="direct", arguments={"x-super-stream": True}) for name in spec.super_streams}
    return made | spec.exchanges


def queues(spec: Spec) -> dict[str, Queue]:
    """Returns all queues of a resource, including the partitions of super streams."""
    made = {
        partition(name, number): Queue(
            type="stream",
            max_age=stream.max_age,
            max_length_bytes=stream.max_length_bytes,
            arguments=stream.arguments,
        )
        for name, stream in spec.super_streams.items()
        for number in range(stream.partitions)
    }
    return made | spec.queues


def bindings(spec: Spec) -> list[Binding]:
    """Returns all bindings of a resource, those of super streams last."""
    return spec.bindings + [
        Binding(
            source=name,
            queue=partition(name, number),
            routing_key=routing_key,
            arguments={"x-stream-partition-order": number},
        )
        for name, stream in spec.super_streams.items()
        for number, routing_key in enumerate(routing_keys(stream))
    ]


def partition(name: str, number: int) -> str:
    """Returns the name of the stream of this partition, counted from 0."""
    return f"{name}-{number}"


def routing_keys(stream: SuperStream) -> list[str]:
    """Returns one key for each partition (`rules` refuses a list of another length)."""
    return stream.routing_keys or [str(number) for number in range(stream.partitions)]
