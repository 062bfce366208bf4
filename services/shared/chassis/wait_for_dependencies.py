"""Waits until the tables, the broker user and the queues of a service exist: the init container of its pods.

    python -m services.shared.chassis.wait_for_dependencies inventory.queue

A wrong setting looks like a dependency that is not ready, so each reason is printed and the wait has a limit.
"""

import argparse
import asyncio
import os
import sys

import structlog

from services.shared.chassis import logs
from services.shared.chassis.settings import ENV_PREFIX, ProcessSettings
from warren_messaging.amqp.connection import opened
from warren_messaging.errors import ConfigurationError, MessagingError
from warren_messaging.postgres.database import Database
from warren_messaging.settings import load_settings

DEFAULT_TIMEOUT = 600.0  # seconds
CHECK_INTERVAL = 1.0  # seconds
RPC_TIMEOUT = 10.0  # seconds


async def missing_dependency(settings: ProcessSettings, queues: list[str]) -> str:
    """Name the first dependency that is missing; "" if all exist."""
    database = Database(settings.database, connections=1)
    try:
        await database.open()
        async with opened(settings.broker, "wait-for-dependencies") as connection:
            for queue in queues:
                async with asyncio.timeout(RPC_TIMEOUT):
                    channel = await connection.channel(publisher_confirms=False)
                    # Passive: only checks that the queue exists, which needs no permission to configure.
                    await channel.declare_queue(queue, passive=True)
    except TimeoutError:
        return "the broker does not answer"
    except MessagingError as error:
        return str(error)
    finally:
        await database.close()
    return ""


async def wait(settings: ProcessSettings, queues: list[str], seconds: float) -> str:
    """Return "" as soon as all dependencies exist, or the missing dependency after `seconds`."""
    loop = asyncio.get_running_loop()
    deadline, printed = loop.time() + seconds, ""
    while reason := await missing_dependency(settings, queues):
        if loop.time() > deadline:
            return reason
        if reason != printed:
            structlog.get_logger().info("waiting", reason=reason)
            printed = reason
        await asyncio.sleep(CHECK_INTERVAL)
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m services.shared.chassis.wait_for_dependencies",
        description="Wait until database and broker are ready for a service, with the service's own settings.",
        epilog="exit codes: 0 all dependencies exist, 69 one is still missing at the end, 78 a wrong setting",
    )
    parser.add_argument("queues", nargs="*", help="queues that must exist")
    parser.add_argument("--seconds", type=float, default=DEFAULT_TIMEOUT, help="how long to wait; default: %(default)g")
    options = parser.parse_args()
    logs.configure("wait-for-dependencies", log_format=logs.requested_format(os.environ), level="info")
    log = structlog.get_logger()
    try:
        reason = asyncio.run(wait(load_settings(ProcessSettings, ENV_PREFIX), options.queues, options.seconds))
    except ConfigurationError as error:
        log.critical(str(error))
        return os.EX_CONFIG
    if reason:
        log.critical("gave up", seconds=options.seconds, reason=reason)
        return os.EX_UNAVAILABLE
    return 0


if __name__ == "__main__":
    sys.exit(main())
