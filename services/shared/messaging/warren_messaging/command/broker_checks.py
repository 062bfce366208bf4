"""The checks of `warren-messaging doctor` at the broker. They take and publish no message and declare nothing.

AMQP has no method that asks for a permission. A subscription with a wrong argument is refused because of the permission
first, then because of the queue that does not exist, and only then because of the argument. A publish in a transaction
that is rolled back is refused because of the permission, and otherwise has no effect.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence

import aio_pika
from aiormq import exceptions as amqp

from warren_messaging.amqp.connection import MIN_BROKER_VERSION, AmqpConnection, BrokerAddress, opened
from warren_messaging.command.check_result import CheckResult, failed, ok, unknown
from warren_messaging.command.declare import declare_queue, difference
from warren_messaging.command.queue_rules import problem
from warren_messaging.command.remedies import ALARMS, APPLY, MANAGEMENT, RECREATE, RIGHTS
from warren_messaging.command.service_topology import NeededQueue, ServiceTopology
from warren_messaging.errors import BrokerTooOld, MessagingError
from warren_messaging.sender import service_of_user

ANSWER_TIMEOUT = 5.0  # seconds, for each check


async def check_broker(
    address: BrokerAddress, topology: ServiceTopology, compared: Sequence[tuple[NeededQueue, int]]
) -> AsyncIterator[CheckResult]:
    """Check what AMQP shows to the service's own user.

    A declaration compares the arguments of the queues `compared`, each with its consumer's number of attempts. It needs
    the permission to configure them.
    """
    try:
        async with opened(address, "warren-messaging doctor") as connection:
            yield ok("broker connection", f"connected to {address.location}")
            version = connection.driver.server_properties.get("version", "?")
            yield ok("broker version", f"RabbitMQ {version.decode() if isinstance(version, bytes) else version}")
            yield _sender(address.username, topology)
            for queue in topology.consumed:
                yield await _in_time(_may_consume(connection, queue))
            for needed, attempts in compared:
                yield await _in_time(_compare_arguments(connection, needed, attempts))
            if topology.announced:  # last: the broker may stop reading from a connection that publishes
                yield await _in_time(_may_publish(connection, topology.exchange, topology.announced))
    except BrokerTooOld as error:
        yield failed("broker version", error, f"upgrade RabbitMQ to {'.'.join(map(str, MIN_BROKER_VERSION))} or newer")
    except MessagingError as error:
        yield failed(
            "broker connection",
            error,
            "correct the address (amqps:// for a port with TLS), user or password of the broker, or start it",
        )


async def _in_time(check: Awaitable[CheckResult]) -> CheckResult:
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT):
            return await check
    except TimeoutError:
        return failed("broker answers", f"none within {ANSWER_TIMEOUT:.0f} s", ALARMS)


def _sender(username: str, topology: ServiceTopology) -> CheckResult:
    if service_of_user(username) == topology.user:
        return ok("sender", f"the broker user is {username!r}, as consumers expect of {topology.service!r}")
    return failed(
        "sender",
        f"the broker user is {username!r}, but consumers accept events of {topology.service!r} only from the user"
        f" {topology.user!r}",
        f"connect as {topology.user!r}, or give the Service a source that ends in '/{service_of_user(username)}'",
    )


async def _may_consume(connection: AmqpConnection, queue: str) -> CheckResult:
    check = f"queue {queue}"
    channel = await connection.channel()
    try:
        # A priority is a number: see above.
        target = await channel.get_queue(queue, ensure=False)
        await target.consume(_ignore, arguments={"x-priority": "none"})
    except amqp.ChannelPreconditionFailed:
        return ok(check, "exists, and the broker user may consume it")
    except amqp.ChannelNotFoundEntity:
        return failed(check, "does not exist", APPLY)
    except amqp.ChannelAccessRefused:
        return failed(check, "the broker user may not read it", RIGHTS)
    await channel.close()
    return unknown(check, "the broker accepted a wrong argument, so this check cannot work", "check the rights by hand")


async def _ignore(message: object) -> None:
    """Take no message: the subscription is refused."""


async def _may_publish(connection: AmqpConnection, exchange: str, types: Sequence[str]) -> CheckResult:
    check = f"exchange {exchange}"
    refused = []
    for event_type in types:
        channel = await connection.channel(publisher_confirms=False)
        try:
            transaction = channel.transaction()
            await transaction.select()
            target = await channel.get_exchange(exchange, ensure=False)
            await target.publish(aio_pika.Message(b""), routing_key=event_type)
            await transaction.rollback()
            await channel.close()
        except amqp.ChannelNotFoundEntity:
            return failed(check, "does not exist", APPLY)
        except amqp.ChannelAccessRefused:
            refused.append(event_type)
    if refused:
        return failed(check, f"the broker user may not publish {', '.join(refused)}", RIGHTS)
    return ok(check, f"exists, and the broker user may publish {', '.join(types)}")


async def _compare_arguments(connection: AmqpConnection, queue: NeededQueue, attempts: int) -> CheckResult:
    """Declare a queue that exists: the broker then reports the first argument that differs."""
    check = f"arguments of {queue.name}"
    try:
        # Passive: does not create a queue that is missing.
        await (await connection.channel()).declare_queue(queue.name, passive=True)
        await declare_queue(await connection.channel(), queue)
    except amqp.ChannelNotFoundEntity:
        return failed(check, "the queue does not exist", APPLY)
    except amqp.ChannelAccessRefused:
        return unknown(check, "AMQP does not show them to this user", MANAGEMENT)
    except amqp.ChannelPreconditionFailed as error:
        other = difference(error)
        wrong = problem(queue, other.argument, other.found, attempts)
        detail = f"{other.argument} is {other.found} instead of {other.needed}, and AMQP shows no further differences"
        return failed(check, wrong, RECREATE) if wrong else unknown(check, detail, MANAGEMENT)
    return ok(check, "are those that `warren-messaging topology` prints")
