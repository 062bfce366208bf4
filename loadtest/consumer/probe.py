"""python -m loadtest.consumer.probe: one service process that announces one event for each that it receives.

It is put together as every service is. It ends when it has processed, published and removed from its outbox as many
messages as it was told, and prints what that took as one line of JSON. Run by `python -m loadtest consumer`.
"""

import argparse
import asyncio
import os
import signal
import sys
import time

import uvloop

from loadtest import cores
from loadtest.consumer.outcome import Outcome
from loadtest.consumer.tally import HANDLERS, Tally
from loadtest.profiling import profiled
from loadtest.result import write_result
from services.shared.chassis import logs
from services.shared.chassis.process import ServiceProcess
from services.shared.chassis.settings import ProcessSettings, load_settings
from services.shared.contracts import AnyEvent
from warren_messaging.telemetry import Listeners, Telemetry


class Counting(Listeners):
    """The telemetry of every service, which also says when the last message is done."""

    def __init__(self, messages: int, listener: Telemetry) -> None:
        super().__init__(listener)
        self._left = messages
        self.all_processed = asyncio.Event()

    def processed(self, consumer: str, event: AnyEvent, effects: list[str], seconds: float) -> None:
        super().processed(consumer, event, effects, seconds)
        self._left -= 1
        if not self._left:
            self.all_processed.set()


async def measure(messages: int, settings: ProcessSettings) -> Outcome:
    """From before the first connection until nothing is left to do."""
    process = ServiceProcess("probe", settings)
    telemetry = Counting(messages, process.telemetry)
    process.telemetry = telemetry
    process.consume("probe.queue", HANDLERS, Tally)
    wall, cpu = time.perf_counter(), time.process_time()
    running = asyncio.create_task(process.run())
    finished = asyncio.create_task(telemetry.all_processed.wait())
    await asyncio.wait([running, finished], return_when=asyncio.FIRST_COMPLETED)
    while process.relay.waiting and not running.done():  # noqa: ASYNC110 - it has no event for this
        await asyncio.sleep(0.002)
    outcome = Outcome(messages, time.perf_counter() - wall, time.process_time() - cpu)
    os.kill(os.getpid(), signal.SIGTERM)
    await running
    return outcome


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m loadtest.consumer.probe", description=__doc__)
    parser.add_argument("--messages", type=int, required=True)
    parser.add_argument("--core", type=int, help="run on this core only")
    parser.add_argument("--profile", action="store_true", help="run under cProfile; the table goes to standard error")
    options = parser.parse_args()
    cores.take(options.core)
    settings = load_settings(ProcessSettings)
    logs.configure("probe", log_format=settings.log_format, level=settings.log_level)
    with profiled(sys.stderr if options.profile else None):
        outcome = uvloop.run(measure(options.messages, settings))
    write_result(outcome)


if __name__ == "__main__":
    main()
