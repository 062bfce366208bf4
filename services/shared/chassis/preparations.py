"""Waits until others have prepared what a process needs: its tables, its user at the broker, its queues.

    python -m services.shared.chassis.preparations inventory.queue

Run before the process itself where nobody starts things in order (an init container). What is wrong for good looks
the same as what is not there yet, so every reason is shown, and the wait has an end.
"""

import argparse
import asyncio
import sys

from services.shared.chassis.environment import ProcessSettings, read
from services.shared.chassis.exits import EXIT_CONFIGURATION, EXIT_UNAVAILABLE
from warren_messaging.amqp.connection import opened
from warren_messaging.errors import ConfigurationError, MessagingError
from warren_messaging.postgres.database import Database

SECONDS = 600.0
PAUSE = 1.0  # seconds between two looks
RPC_TIMEOUT = 10.0  # seconds


async def missing(settings: ProcessSettings, queues: list[str]) -> str:
    """What is not there yet; "" when all is."""
    database = Database(settings.database, connections=1)
    try:
        await database.open()
        async with opened(settings.broker, "preparations") as connection:
            for queue in queues:
                async with asyncio.timeout(RPC_TIMEOUT):
                    channel = await connection.channel(publisher_confirms=False)
                    # Passive: only asks whether the queue exists, which needs no permission to configure.
                    await channel.queue_declare(queue, passive=True)
    except TimeoutError:
        return "the broker does not answer"
    except MessagingError as error:
        return str(error)
    finally:
        await database.close()
    return ""


async def wait(settings: ProcessSettings, queues: list[str], seconds: float) -> str:
    """Returns "" as soon as all is there, or what is still missing after so many seconds."""
    loop = asyncio.get_running_loop()
    deadline, said = loop.time() + seconds, ""
    while reason := await missing(settings, queues):
        if loop.time() > deadline:
            return reason
        if reason != said:
            print(f"waiting: {reason}", flush=True)  # noqa: T201 - a program of its own
            said = reason
        await asyncio.sleep(PAUSE)
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m services.shared.chassis.preparations",
        description="Wait until database and broker are prepared for a service. Settings are the service's own.",
        epilog="exit codes: 0 all is there, 69 something was still missing in the end, 78 a wrong setting",
    )
    parser.add_argument("queues", nargs="*", help="queues that must exist")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long to wait; default: %(default)g")
    options = parser.parse_args()
    try:
        reason = asyncio.run(wait(read(ProcessSettings), options.queues, options.seconds))
    except ConfigurationError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return EXIT_CONFIGURATION
    if reason:
        print(f"gave up after {options.seconds:g} s: {reason}", file=sys.stderr)  # noqa: T201
        return EXIT_UNAVAILABLE
    return 0


if __name__ == "__main__":
    sys.exit(main())
