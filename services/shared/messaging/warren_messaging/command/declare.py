"""Declares a service's topology through AMQP, for programs and tests without another tool for it."""

import re
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

import msgspec
from aio_pika.abc import AbstractChannel
from aiormq import exceptions as amqp

from warren_messaging.amqp.connection import BrokerAddress, opened
from warren_messaging.command.service_topology import BrokerObjects, NeededBinding, NeededExchange, NeededQueue
from warren_messaging.errors import ConfigurationError

_DIFFERENT = re.compile(
    r"inequivalent arg '(?P<argument>[^']+)' for (?P<kind>\w+) '(?P<name>.*)' in vhost '.*?': "
    r"received (?P<needed>.+?) but current is (?P<found>none|'[^']*'|the value '[^']*')"
)


class Difference(msgspec.Struct, frozen=True):
    """An object that exists with other arguments. The broker cannot change them."""

    kind: str
    """queue or exchange"""
    name: str
    argument: str
    """The first argument that differs; the broker names no others."""
    found: str | int | None
    """None: it has no such argument."""
    needed: str | int | None

    def __str__(self) -> str:
        found, needed = ("none" if each is None else each for each in (self.found, self.needed))
        return f"{self.kind} {self.name!r} exists with another {self.argument}: {found}, needed is {needed}"


async def declare(objects: BrokerObjects, address: BrokerAddress) -> list[Difference]:
    """Declare all objects; those that exist as they are needed stay unchanged.

    Returns the objects that exist with other arguments; they stay as they are. The broker user needs the permissions
    configure, write and read for all of them, else AccessRefused is raised.
    """
    different: list[Difference] = []
    async with opened(address, "warren-messaging") as connection:
        for declaration in _declarations(objects):
            channel = await connection.channel()  # the broker closes it with an error
            try:
                await declaration(channel)
                await channel.close()
            except amqp.ChannelPreconditionFailed as error:
                different.append(difference(error))
    return different


def difference(error: amqp.ChannelPreconditionFailed) -> Difference:
    """Read the refusal of a declaration whose object exists with other arguments."""
    found = _DIFFERENT.search(str(error))
    if found is None:
        raise ConfigurationError(f"the broker refused a declaration: {error}") from error
    return Difference(found["kind"], found["name"], found["argument"], _value(found["found"]), _value(found["needed"]))


def _value(text: str) -> str | int | None:
    """The value in "none", "'1000'" or "the value '1000' of type 'signedint'"."""
    quoted = re.search(r"'(.*?)'", text)
    if quoted is None:
        return None
    return int(quoted[1]) if re.fullmatch(r"-?\d+", quoted[1]) else quoted[1]


def _declarations(objects: BrokerObjects) -> Iterator[Callable[[AbstractChannel], Awaitable[object]]]:
    """The declarations of all objects, each to be made on a channel of its own."""
    for exchange in objects.exchanges:
        yield partial(_declare_exchange, exchange=exchange)
    for queue in objects.queues:
        yield partial(declare_queue, queue=queue)
    for binding in objects.bindings:
        yield partial(_bind, binding=binding)


async def declare_queue(channel: AbstractChannel, queue: NeededQueue) -> None:
    await channel.declare_queue(queue.name, durable=True, arguments=dict(queue.arguments))


async def _declare_exchange(channel: AbstractChannel, exchange: NeededExchange) -> None:
    await channel.declare_exchange(exchange.name, exchange.kind, durable=True, arguments=dict(exchange.arguments))


async def _bind(channel: AbstractChannel, binding: NeededBinding) -> None:
    await (await channel.get_queue(binding.queue, ensure=False)).bind(binding.source, binding.routing_key)
