"""Messages that are poison, forbidden, duplicated or reordered; queues that are full or lose their bindings."""

import asyncio
import json
import random
import uuid
from collections.abc import Callable
from typing import Any

from aiormq import spec

from faults.chaos.environment import ChaosEnvironment
from faults.chaos.fault_kinds import ALL_PROCESSES
from faults.chaos.injections.registry import UNDO_SECONDS, NotInjected, hold, injects, retry, wait_for
from faults.chaos.plan import PlannedFault
from faults.chaos.replays import replay_unrouted
from faults.harness import BROKER
from warren_messaging.dead_letters.parked_message import RUN_HEADER
from warren_messaging.sender import REDRIVE_EXCHANGE

COPIES = 3
MIN_SHUFFLED, MAX_SHUFFLED = 6, 60  # messages
ROUTING_SECONDS = 0.6  # until the broker has routed what it has received


@injects("poison messages")
def poison(env: ChaosEnvironment, fault: PlannedFault, rng: random.Random) -> None:
    number = rng.getrandbits(60)
    bodies = (
        b"not JSON %d" % number,
        b"[%d]" % number,
        b'{"specversion": "1.0", "n": %d}' % number,
        b'{"a":' * 50_000 + b"%d" % number,
        b"\xff\xfe%d" % number,
        b'"%d' % number + b"x" * 2_000_000 + b'"',
    )
    chosen = rng.sample(bodies, 3)
    retry(lambda: env.put_messages([(fault.target, body) for body in chosen]))


@injects("events duplicated")
def duplicate(env: ChaosEnvironment, fault: PlannedFault, rng: random.Random) -> None:
    """Deliver some recent events three times more to one of the queues that received them."""
    subscribers = retry(env.subscribers)
    wanted: list[bytes] = []

    def found() -> bool:
        recent = env.sql("SELECT body FROM audit.events ORDER BY recorded_at DESC LIMIT 80")
        bodies = [bytes(row[0]) for row in recent]
        wanted[:] = [body for body in bodies if fault.target in ("audit.queue", *subscribers.get(_type(body), ()))]
        return bool(wanted)

    wait_for(env, found, f"no recent event went to {fault.target}")
    copies = [body for body in rng.sample(wanted, min(12, len(wanted))) for _ in range(COPIES)]
    rng.shuffle(copies)
    retry(lambda: env.put_messages([(fault.target, body) for body in copies]))


def _type(body: bytes) -> str:
    return str(json.loads(body)["type"])


@injects("events reordered")
def reorder(env: ChaosEnvironment, fault: PlannedFault, rng: random.Random) -> None:
    """Shuffle a queue while its service is down; then two replicas consume it."""
    queue = f"{fault.target.removesuffix('-worker')}.queue"
    both = (fault.target, f"{fault.target}-2")
    with env.kept_down(*both):
        for alias in both:
            env.processes.stop(alias)
        env.pause(fault.seconds)
        wait_for(env, lambda: env.queue_depth(queue) >= MIN_SHUFFLED, f"{queue} has too few messages")
        retry(lambda: shuffle(env, queue, rng))


def shuffle(env: ChaosEnvironment, queue: str, rng: random.Random) -> None:
    """Publish the messages of a queue to it again in random order, and only then acknowledge the originals.

    If the broker becomes unavailable meanwhile, messages may be duplicated and are never lost.
    """

    async def work(channel: Any) -> None:
        taken: list[Any] = []
        while len(taken) < MAX_SHUFFLED and (message := await channel.basic_get(queue)).delivery_tag is not None:
            taken.append(message)
        for message in rng.sample(taken, len(taken)):
            await channel.basic_publish(
                bytes(message.body), exchange=REDRIVE_EXCHANGE, routing_key=queue, properties=_same_properties(message)
            )
        for message in taken:
            await channel.basic_ack(message.delivery_tag)

    asyncio.run(env.on_channel(work))


def _same_properties(message: Any) -> spec.Basic.Properties:
    old = message.header.properties
    headers = {name: value for name, value in (old.headers or {}).items() if not name.startswith(("x-death", "x-del"))}
    if message.redelivered:
        # It may have failed before: the header tells the consumer that its record is about this copy.
        headers[RUN_HEADER] = "shuffled"
    return spec.Basic.Properties(
        delivery_mode=2, headers=headers, priority=old.priority, message_id=old.message_id, timestamp=old.timestamp
    )


@injects("forbidden event")
def forbid(env: ChaosEnvironment, fault: PlannedFault, _: random.Random) -> None:
    """Put another service's event into an outbox: the broker refuses it, and all other events pass."""
    paid = env.sql("SELECT body FROM audit.events WHERE type = 'order.paid' ORDER BY recorded_at DESC LIMIT 1")
    if not paid:
        raise NotInjected("no order is paid yet")
    outbox = f'"{fault.target}".outbox'
    position = env.sql(
        f"INSERT INTO {outbox} (exchange, body, owner, leased_until)"  # noqa: S608 - our names
        " VALUES ('order.exchange', $1, $2, now()) RETURNING position",
        bytes(paid[0][0]),
        uuid.UUID(int=0),
    )[0][0]
    try:
        refused = f"position = {position} AND last_error LIKE '%permission%'"
        wait_for(env, lambda: env.count(outbox, refused), "it was not refused")
        env.pause(fault.seconds)
    finally:
        delete = f"DELETE FROM {outbox} WHERE position = $1"  # noqa: S608 - our names
        retry(lambda: env.sql(delete, position), UNDO_SECONDS)


@injects("queue full")
def fill_queue(env: ChaosEnvironment, fault: PlannedFault, _: random.Random) -> None:
    queue = fault.target
    hold(env, fault, lambda: env.limit_queue(queue, 0), lambda: env.unlimit_queue(queue))


@injects("parking lot full")
def fill_parking_lot(env: ChaosEnvironment, fault: PlannedFault, rng: random.Random) -> None:
    queue = fault.target.replace(".dlq", ".queue")
    bodies = [b'{"poison": %d}' % rng.getrandbits(60) for _ in range(4)]

    def fill() -> None:
        env.limit_queue(fault.target, 1)
        env.put_messages([(queue, body) for body in bodies])

    hold(env, fault, fill, lambda: env.unlimit_queue(fault.target))


@injects("last binding lost")
def remove_last_binding(env: ChaosEnvironment, fault: PlannedFault, rng: random.Random) -> None:
    """The only subscriber of an event type loses its binding; unrouted events are replayed to it afterwards."""
    subscribers = retry(env.subscribers)
    only = sorted((key, queues[0]) for key, queues in subscribers.items() if len(queues) == 1)
    key, queue = rng.choice(only)
    try:
        env.unbind("workflow.exchange", "q", queue, key)
        env.pause(fault.seconds)
    finally:
        retry(env.restore_topology, UNDO_SECONDS)
        env.replays["unrouted"] += retry(lambda: replay_unrouted(env, key, [queue]), UNDO_SECONDS)


@injects("all bindings lost")
def remove_all_bindings(env: ChaosEnvironment, fault: PlannedFault, _: random.Random) -> None:
    """No queue takes an event. Both bindings are removed and restored between two publishes: with only one of them
    removed, the broker would rightly report an event as routed."""
    try:
        _between_publishes(env, lambda: _unbind_both(env))
        env.pause(fault.seconds)
    finally:
        retry(lambda: _between_publishes(env, env.restore_topology), UNDO_SECONDS)


def _unbind_both(env: ChaosEnvironment) -> None:
    for target in ("audit.fanout.exchange", "workflow.exchange"):
        env.unbind("order.exchange", "e", target, "#")


def _between_publishes(env: ChaosEnvironment, action: Callable[[], None]) -> None:
    proxies = [env.proxy_of(name, BROKER) for name in ALL_PROCESSES]
    try:
        for proxy in proxies:
            proxy.pause_requests()
        env.pause(ROUTING_SECONDS)
        action()
    finally:
        for proxy in proxies:
            proxy.resume_requests()
