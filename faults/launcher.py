"""python -m faults.launcher TRAP MODULE [ARGUMENT...]

Runs a service with places in it where it can be made to die, and impatient: the product's code knows nothing of
either. TRAP is a file. While it holds "POINT NTH SIGNAL", the NTH time that the process comes to POINT it deletes the
file and sends itself SIGNAL, so one trap springs once, and a service is set up for its death without a restart.

Settings of its own, from the environment: FAULT_LEASE_SECONDS (outbox leases), FAULT_HEARTBEAT_SECONDS (broker),
FAULT_PATIENCE_SECONDS (how long connecting and a statement may take), FAULT_IDLE_SECONDS (how long a transaction may
stand open while the database hears nothing), FAULT_SKEW_SECONDS (how wrong its clock is).
"""

import asyncio
import os
import runpy
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from services.shared.chassis.settings import ProcessSettings
from warren_messaging import codec
from warren_messaging.amqp import connection, publisher
from warren_messaging.amqp.connection import BrokerAddress
from warren_messaging.amqp.publisher import Publisher
from warren_messaging.consumer.processor import Processor, Verdict
from warren_messaging.consumer.settlement import Settlement
from warren_messaging.outbox import outbox
from warren_messaging.outbox.relay import Place, Relay, RelaySettings
from warren_messaging.postgres import database

POINTS = (
    "before commit",  # all is written, COMMIT is not sent
    "before publish",  # committed, nothing is sent to the broker
    "before confirm",  # sent, no confirm has been looked at
    "before removal",  # confirmed, the row is still there
    "before ack",  # a handler's work is committed, its delivery is not acknowledged
    "before result",  # an effect has been made, nothing of it is stored
)


class Trap:
    def __init__(self, file: Path) -> None:
        self._file = file

    def step(self, point: str) -> None:
        """The process has come to `point`."""
        try:
            where, nth, number = self._file.read_text().rsplit(" ", 2)
        except (OSError, ValueError):  # none is set, or it is just being written
            return
        if where != point:
            return
        if int(nth) > 1:
            self._file.write_text(f"{point} {int(nth) - 1} {number}")
            return
        self._file.unlink()
        os.kill(os.getpid(), int(number))


def lay(trap: Trap) -> None:
    """Put a step to each point into the library."""
    sender: Any = publisher  # `send` is the pipeline's, looked up here at each call
    store, fill, send = outbox._store, Place.fill, sender.send
    publish, flush, results = Publisher.publish, Settlement.flush, Processor._store_results

    async def storing(*arguments: Any) -> None:
        await store(*arguments)
        trap.step("before commit")

    def filling(place: Place, entries: list[Any]) -> None:
        if entries:
            trap.step("before publish")
        fill(place, entries)

    async def sending(*arguments: Any) -> Any:
        batch = await send(*arguments)
        if trap._file.exists():
            await asyncio.sleep(0.1)  # what is written has to leave the process
        trap.step("before confirm")
        return batch

    async def publishing(self: Publisher, messages: Sequence[Any]) -> Any:
        outcomes = await publish(self, messages)
        trap.step("before removal")
        return outcomes

    async def flushing(settlement: Settlement) -> None:
        if Verdict.DONE in settlement._noted.values():
            trap.step("before ack")
        await flush(settlement)

    async def finishing(self: Any, finished: Any) -> None:
        trap.step("before result")
        await results(self, finished)

    _put(outbox, _store=storing)
    _put(sender, send=sending)
    _put(Place, fill=filling)
    _put(Publisher, publish=publishing)
    _put(Settlement, flush=flushing)
    _put(Processor, _store_results=finishing)


def _put(owner: object, **steps: object) -> None:
    for name, step in steps.items():
        setattr(owner, name, step)


def hurry() -> None:
    """What takes ten or thirty seconds in production takes two or three here."""
    lease = float(os.environ.get("FAULT_LEASE_SECONDS", "10"))
    Relay.__init__.__defaults__ = (RelaySettings(lease_seconds=lease, sweep_seconds=min(1.0, lease / 5)),)
    heartbeat = int(os.environ.get("FAULT_HEARTBEAT_SECONDS", "10"))
    ProcessSettings.broker = property(  # type: ignore[method-assign, assignment]
        lambda self: BrokerAddress(self.broker_url, self.broker_credentials, self.broker_ca_file, heartbeat)
    )
    if patience := float(os.environ.get("FAULT_PATIENCE_SECONDS", "0")):
        connection.CONNECT_TIMEOUT = database.ACQUIRE_TIMEOUT = database.STATEMENT_TIMEOUT = patience
    if idle := int(os.environ.get("FAULT_IDLE_SECONDS", "0")):
        database.IDLE_TIMEOUT, database.LONGEST_TRANSACTION = idle, 2 * idle


def skew(seconds: float) -> None:
    """Make every use of the process's clock wrong by so much; what is measured by the monotonic one stays right."""
    right = time.time
    time.time = lambda: right() + seconds
    codec.now = lambda: datetime.now(UTC) + timedelta(seconds=seconds)
    new_id = codec.new_id
    # The first 48 bits of a UUIDv7 are milliseconds.
    codec.new_id = lambda: UUID(int=new_id().int + (int(seconds * 1000) << 80))


def main() -> None:
    trap, module, *arguments = sys.argv[1:]
    lay(Trap(Path(trap)))
    hurry()
    if seconds := float(os.environ.get("FAULT_SKEW_SECONDS", "0")):
        skew(seconds)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
