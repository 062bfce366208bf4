"""Servers that restart, crash, run out of memory, hold locks, or change their passwords."""

import asyncio
import random
from collections.abc import Callable

import asyncpg

from faults.chaos.environment import ChaosEnvironment
from faults.chaos.injections.registry import UNDO_SECONDS, hold, injects, retry, wait_for
from faults.chaos.plan import PlannedFault
from services.shared.chassis.scram import verifier

WATERMARK = "2GB"  # as configured
LOCKS = {
    "stock": "SELECT FROM inventory.stock FOR UPDATE",
    "orders": "SELECT FROM \"order\".orders WHERE state NOT IN ('COMPLETED', 'CANCELLED') FOR UPDATE",
}


@injects("broker restarts")
def restart_broker(env: ChaosEnvironment, fault: PlannedFault, _: random.Random) -> None:
    broker = env.servers.broker
    hold(env, fault, lambda: broker.rabbitmqctl("stop_app"), lambda: broker.rabbitmqctl("start_app"))


@injects("broker crashes")
def crash_broker(env: ChaosEnvironment, fault: PlannedFault, _: random.Random) -> None:
    hold(env, fault, env.servers.broker.kill, env.servers.broker.start)


@injects("database crashes")
def crash_database(env: ChaosEnvironment, fault: PlannedFault, _: random.Random) -> None:
    hold(env, fault, env.servers.postgres.kill, env.servers.postgres.start)


@injects("memory alarm")
def raise_memory_alarm(env: ChaosEnvironment, fault: PlannedFault, _: random.Random) -> None:
    def watermark(value: str) -> None:
        env.servers.broker.rabbitmqctl("set_vm_memory_high_watermark", "absolute", value)

    try:
        retry(lambda: watermark("1MB"))
        wait_for(env, lambda: env.api("GET", "nodes")[0]["mem_alarm"], "the broker raised no alarm")
        env.pause(fault.seconds)
    finally:
        retry(lambda: watermark(WATERMARK), UNDO_SECONDS)


@injects("rows locked")
def lock_rows(env: ChaosEnvironment, fault: PlannedFault, _: random.Random) -> None:
    """A transaction from outside of the services stays open."""

    async def lock() -> None:
        connection = await asyncpg.connect(env.servers.postgres.endpoint.dsn())
        try:
            async with connection.transaction():
                await connection.execute(LOCKS[fault.target])
                await asyncio.sleep(fault.seconds)
        finally:
            connection.terminate()

    asyncio.run(lock())


@injects("database password changed")
def change_database_password(env: ChaosEnvironment, fault: PlannedFault, _: random.Random) -> None:
    role = fault.target
    new, write = env.new_password(f"{role}-postgres")

    def change() -> None:
        env.sql(f"ALTER ROLE \"{role}\" PASSWORD '{verifier(new)}'")
        env.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", role)

    _rotate(env, fault, change, write)


@injects("broker password changed")
def change_broker_password(env: ChaosEnvironment, fault: PlannedFault, _: random.Random) -> None:
    user, _old = env.broker_login(fault.target)
    new, write = env.new_password(f"{fault.target}-rabbitmq")
    tags = env.api("GET", f"users/{user}")["tags"]

    def change() -> None:
        env.api("PUT", f"users/{user}", json={"password": new, "tags": ",".join(tags)})
        env.api("DELETE", f"connections/username/{user}")

    _rotate(env, fault, change, write)


def _rotate(env: ChaosEnvironment, fault: PlannedFault, change: Callable[[], None], write: Callable[[], None]) -> None:
    """Change a password at the server first, and some seconds later in the file that services read."""
    with env.configuration_errors_expected():
        try:
            retry(change)
            env.pause(fault.seconds)
        finally:
            write()
            retry(change, UNDO_SECONDS)
