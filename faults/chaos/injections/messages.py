"""Messages that nobody can read, that come again, and that come in any order."""

import asyncio
import json
import random
from typing import Any

from aiormq import spec

from faults import queues
from faults.chaos.environment import Site
from faults.chaos.injections.registry import injects, insist, wait_for
from faults.chaos.plan import Planned
from warren_messaging.dead_letters.parked import RUN_HEADER
from warren_messaging.sender import REDRIVE_EXCHANGE

COPIES = 3
ENOUGH = 6  # messages that are worth shuffling
MOST = 60


@injects("poison")
def poison(site: Site, fault: Planned, chance: random.Random) -> None:
    number = chance.getrandbits(60)
    bodies = (
        b"not JSON %d" % number,
        b"[%d]" % number,
        b'{"specversion": "1.0", "n": %d}' % number,
        b'{"a":' * 50_000 + b"%d" % number,
        b"\xff\xfe%d" % number,
        b'"%d' % number + b"x" * 2_000_000 + b'"',
    )
    chosen = chance.sample(bodies, 3)
    insist(lambda: queues.put(site, [(fault.target, body) for body in chosen]))


@injects("events repeated")
def repeat(site: Site, fault: Planned, chance: random.Random) -> None:
    """Some of what was said lately, three times more, to one of those who took it."""
    takers = insist(lambda: queues.takers(site))
    wanted: list[bytes] = []

    def told() -> bool:
        recent = site.sql("SELECT body FROM audit.events ORDER BY recorded_at DESC LIMIT 80")
        bodies = [bytes(row[0]) for row in recent]
        wanted[:] = [body for body in bodies if fault.target in ("audit.queue", *takers.get(_type(body), ()))]
        return bool(wanted)

    wait_for(site, told, f"{fault.target} was told nothing lately")
    copies = [body for body in chance.sample(wanted, min(12, len(wanted))) for _ in range(COPIES)]
    chance.shuffle(copies)
    insist(lambda: queues.put(site, [(fault.target, body) for body in copies]))


def _type(body: bytes) -> str:
    return str(json.loads(body)["type"])


@injects("events in disorder")
def disorder(site: Site, fault: Planned, chance: random.Random) -> None:
    """While a service is away its queue is shuffled; then two replicas take what is in it."""
    queue = f"{fault.target.removesuffix('-worker')}.queue"
    both = (fault.target, f"{fault.target}-2")
    with site.held_down(*both):
        for alias in both:
            site.end(alias)
        site.pause(fault.seconds)
        wait_for(site, lambda: site.depth(queue) >= ENOUGH, f"too little came to {queue}")
        insist(lambda: shuffle(site, queue, chance))


def shuffle(site: Site, queue: str, chance: random.Random) -> None:
    """What waits in a queue is put into it again in another order, and only then taken out: it may be there twice in
    the end, if the broker goes away meanwhile, and is never lost."""

    async def work(channel: Any) -> None:
        taken: list[Any] = []
        while len(taken) < MOST and (message := await channel.basic_get(queue)).delivery_tag is not None:
            taken.append(message)
        for message in chance.sample(taken, len(taken)):
            await channel.basic_publish(
                bytes(message.body), exchange=REDRIVE_EXCHANGE, routing_key=queue, properties=_again(message)
            )
        for message in taken:
            await channel.basic_ack(message.delivery_tag)

    asyncio.run(queues.on_channel(site, work))


def _again(message: Any) -> spec.Basic.Properties:
    old = message.header.properties
    headers = {name: value for name, value in (old.headers or {}).items() if not name.startswith(("x-death", "x-del"))}
    if message.redelivered:
        # What failed before is on record, and must be known to be back.
        headers[RUN_HEADER] = "shuffled"
    return spec.Basic.Properties(
        delivery_mode=2, headers=headers, priority=old.priority, message_id=old.message_id, timestamp=old.timestamp
    )
