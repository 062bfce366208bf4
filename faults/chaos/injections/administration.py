"""What an administrator can do to a running system: locks, passwords, limits, bindings, rows."""

import asyncio
import random
import uuid
from collections.abc import Callable

import asyncpg

from faults import queues
from faults.chaos.environment import Site
from faults.chaos.fault_kinds import EVERYBODY
from faults.chaos.injections.registry import Hindered, injects, insist, wait_for
from faults.chaos.plan import Planned
from faults.chaos.replays import replay_unrouted
from faults.harness import BROKER
from services.shared.chassis.scram import verifier

ROWS = {
    "stock": "SELECT FROM inventory.stock FOR UPDATE",
    "orders": "SELECT FROM \"order\".orders WHERE state NOT IN ('COMPLETED', 'CANCELLED') FOR UPDATE",
}
QUIET_SECONDS = 0.6  # for what has been sent to the broker to have been routed


@injects("rows locked")
def lock(site: Site, fault: Planned, _: random.Random) -> None:
    """A transaction by hand that somebody forgot to end."""

    async def holding() -> None:
        connection = await asyncpg.connect(site.servers.postgres.address.dsn())
        try:
            async with connection.transaction():
                await connection.execute(ROWS[fault.target])
                await asyncio.sleep(fault.seconds)
        finally:
            connection.terminate()

    asyncio.run(holding())


@injects("database password changed")
def new_database_password(site: Site, fault: Planned, _: random.Random) -> None:
    role = fault.target
    new, write = site.new_password(f"{role}-postgres")

    def change() -> None:
        site.sql(f"ALTER ROLE \"{role}\" PASSWORD '{verifier(new)}'")
        site.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", role)

    _rotate(site, fault, change, write)


@injects("broker password changed")
def new_broker_password(site: Site, fault: Planned, _: random.Random) -> None:
    user, _old = site.broker_login(fault.target)
    new, write = site.new_password(f"{fault.target}-rabbitmq")
    tags = site.api("GET", f"users/{user}")["tags"]

    def change() -> None:
        site.api("PUT", f"users/{user}", json={"password": new, "tags": ",".join(tags)})
        site.api("DELETE", f"connections/username/{user}")

    _rotate(site, fault, change, write)


def _rotate(site: Site, fault: Planned, change: Callable[[], None], write: Callable[[], None]) -> None:
    """The server knows the new password first, and the file has it some seconds later."""
    with site.configuration_is_wrong():
        try:
            insist(change)
            site.pause(fault.seconds)
        finally:
            write()
            insist(change, 60)


@injects("queue full")
def fill(site: Site, fault: Planned, _: random.Random) -> None:
    try:
        insist(lambda: site.limit(fault.target, 0))
        site.pause(fault.seconds)
    finally:
        insist(lambda: site.unlimit(fault.target), 60)


@injects("parking lot full")
def fill_parking_lot(site: Site, fault: Planned, chance: random.Random) -> None:
    queue = fault.target.replace(".dlq", ".queue")
    try:
        insist(lambda: site.limit(fault.target, 1))
        poison = [b'{"poison": %d}' % chance.getrandbits(60) for _ in range(4)]
        insist(lambda: queues.put(site, [(queue, body) for body in poison]))
        site.pause(fault.seconds)
    finally:
        insist(lambda: site.unlimit(fault.target), 60)


@injects("last binding lost")
def unbind_one(site: Site, fault: Planned, chance: random.Random) -> None:
    """The only service that wants an event loses its binding; what nobody got meanwhile is replayed to it."""
    takers = insist(lambda: queues.takers(site))
    only = sorted((key, queues[0]) for key, queues in takers.items() if len(queues) == 1)
    key, queue = chance.choice(only)
    try:
        site.unbind("workflow.exchange", "q", queue, key)
        site.pause(fault.seconds)
    finally:
        insist(site.restore_topology, 60)
        site.replays["unrouted"] += insist(lambda: replay_unrouted(site, key, [queue]), 60)


@injects("every binding lost")
def unbind_all(site: Site, fault: Planned, _: random.Random) -> None:
    """Nobody at all takes an event. Both bindings go and come between two publishes: with one of them alone, the
    broker would rightly say that an event has found its place."""
    try:
        _between_publishes(site, lambda: _unbind_both(site))
        site.pause(fault.seconds)
    finally:
        insist(lambda: _between_publishes(site, site.restore_topology), 60)


def _unbind_both(site: Site) -> None:
    for target in ("audit.fanout.exchange", "workflow.exchange"):
        site.unbind("order.exchange", "e", target, "#")


def _between_publishes(site: Site, action: Callable[[], None]) -> None:
    lines = [site.line_of(name, BROKER) for name in EVERYBODY]
    try:
        for line in lines:
            line.hold()
        site.pause(QUIET_SECONDS)
        action()
    finally:
        for line in lines:
            line.release()


@injects("forbidden event")
def forbid(site: Site, fault: Planned, _: random.Random) -> None:
    """A service has an event in another's name in its outbox: the broker refuses it, and everything else passes."""
    spoken = site.sql("SELECT body FROM audit.events WHERE type = 'order.paid' ORDER BY recorded_at DESC LIMIT 1")
    if not spoken:
        raise Hindered("no order has been paid yet")
    outbox = f'"{fault.target}".outbox'
    position = site.sql(
        f"INSERT INTO {outbox} (exchange, body, owner, leased_until)"  # noqa: S608 - our names
        " VALUES ('order.exchange', $1, $2, now()) RETURNING position",
        bytes(spoken[0][0]),
        uuid.UUID(int=0),
    )[0][0]
    try:
        refused = f"position = {position} AND last_error LIKE '%permission%'"
        wait_for(site, lambda: site.count(outbox, refused), "it was not refused")
        site.pause(fault.seconds)
    finally:
        insist(lambda: site.sql(f"DELETE FROM {outbox} WHERE position = $1", position), 60)  # noqa: S608
