"""python -m faults.launcher FILE MODULE [ARGUMENT...]

Runs a service with failpoints and short timeouts, neither of which its code knows. While FILE holds "POINT NTH SIGNAL",
the NTH time that the process reaches POINT it deletes the file and sends itself SIGNAL. A failpoint fires once and is
set without a restart.

Settings of its own, from the environment: FAULT_LEASE_SECONDS (outbox leases), FAULT_HEARTBEAT_SECONDS (broker),
FAULT_TIMEOUT_SECONDS (connecting, and each statement), FAULT_IDLE_SECONDS (how long a transaction may be idle),
FAULT_SKEW_SECONDS (error of the process's clock).
"""

import asyncio
import os
import runpy
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from services.shared.chassis.settings import ProcessSettings
from warren_messaging import codec
from warren_messaging.amqp import connection, publisher
from warren_messaging.amqp.connection import BrokerAddress
from warren_messaging.amqp.publisher import Publisher
from warren_messaging.consumer.delivery import Verdict
from warren_messaging.consumer.effects import EffectRunner
from warren_messaging.consumer.settlement import Settlement
from warren_messaging.outbox import outbox
from warren_messaging.outbox.relay import PublishSlot, RelaySettings
from warren_messaging.postgres import database
from warren_messaging.service import Service

FAILPOINTS = (
    "before commit",  # everything is written, COMMIT is not sent
    "before publish",  # committed, nothing is sent to the broker
    "before confirm",  # sent, no confirm is processed
    "before removal",  # confirmed, the outbox row is still there
    "before ack",  # a handler's work is committed, its delivery is not acknowledged
    "before result",  # an effect is done, its result is not stored
)


class Failpoint:
    def __init__(self, file: Path) -> None:
        self._file = file

    def reach(self, point: str) -> None:
        """Send the signal if the failpoint is set at `point` and its turn has come."""
        try:
            wanted, nth, number = self._file.read_text().rsplit(" ", 2)
        except (OSError, ValueError):  # none is set, or the file is just being written
            return
        if wanted != point:
            return
        if int(nth) > 1:
            self._file.write_text(f"{point} {int(nth) - 1} {number}")
            return
        self._file.unlink()
        os.kill(os.getpid(), int(number))

    def before(self, owner: Any, name: str, point: str, when: Callable[..., object] = lambda *_: True) -> None:
        """Reach `point` before each call of a function for whose arguments `when` holds."""
        original = getattr(owner, name)

        def wrapper(*arguments: Any) -> Any:
            if when(*arguments):
                self.reach(point)
            return original(*arguments)

        setattr(owner, name, wrapper)

    def after(self, owner: Any, name: str, point: str, delay: float = 0.0) -> None:
        """Reach `point` after each call of a coroutine function; `delay` seconds later if the failpoint is set."""
        original = getattr(owner, name)

        async def wrapper(*arguments: Any) -> Any:
            result = await original(*arguments)
            if delay and self._file.exists():
                await asyncio.sleep(delay)
            self.reach(point)
            return result

        setattr(owner, name, wrapper)


def install(failpoint: Failpoint) -> None:
    """Wrap the functions of the library that lead to each point."""
    failpoint.after(outbox, "_store", "before commit")
    failpoint.before(PublishSlot, "commit", "before publish", when=lambda _, entries: entries)
    # The written bytes need a moment to leave the process.
    failpoint.after(publisher, "send", "before confirm", delay=0.1)
    failpoint.after(Publisher, "publish", "before removal")
    failpoint.before(Settlement, "flush", "before ack", when=lambda each: Verdict.ACK in each._noted.values())
    failpoint.before(EffectRunner, "_store_results", "before result")


def shorten_timeouts() -> None:
    """Apply the FAULT_... settings of leases, heartbeats and timeouts."""
    lease = float(os.environ.get("FAULT_LEASE_SECONDS", "10"))
    relay = RelaySettings(lease_seconds=lease, takeover_seconds=min(1.0, lease / 5))
    Service.__init__.__kwdefaults__["relay"] = relay  # type: ignore[index]
    heartbeat = int(os.environ.get("FAULT_HEARTBEAT_SECONDS", "10"))
    ProcessSettings.broker = property(  # type: ignore[method-assign, assignment]
        lambda self: BrokerAddress(self.broker_url, self.broker_credentials, self.broker_ca_file, heartbeat)
    )
    if timeout := float(os.environ.get("FAULT_TIMEOUT_SECONDS", "0")):
        connection.CONNECT_TIMEOUT = database.ACQUIRE_TIMEOUT = database.STATEMENT_TIMEOUT = timeout
    if idle := int(os.environ.get("FAULT_IDLE_SECONDS", "0")):
        database.IDLE_TIMEOUT, database.MAX_TRANSACTION = idle, 2 * idle


def skew(seconds: float) -> None:
    """Shift the process's wall clock by `seconds`; the monotonic clock is not changed."""
    correct = time.time
    time.time = lambda: correct() + seconds
    codec.now = lambda: datetime.now(UTC) + timedelta(seconds=seconds)
    new_id = codec.new_id
    # The first 48 bits of a UUIDv7 are milliseconds.
    codec.new_id = lambda: UUID(int=new_id().int + (int(seconds * 1000) << 80))


def main() -> None:
    file, module, *arguments = sys.argv[1:]
    install(Failpoint(Path(file)))
    shorten_timeouts()
    if seconds := float(os.environ.get("FAULT_SKEW_SECONDS", "0")):
        skew(seconds)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
