"""One service process: what it consumes, serves and does by the clock, started and stopped in the right order."""

import asyncio
import resource
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar
from uuid import UUID

import structlog
import uvloop
from litestar import Litestar

from services.shared.chassis import logs
from services.shared.chassis.environment import ProcessSettings, read
from services.shared.chassis.exits import EXIT_CONFIGURATION, EXIT_UNAVAILABLE
from services.shared.chassis.http import Server
from services.shared.chassis.metrics import Metrics
from services.shared.chassis.observation import observation
from services.shared.chassis.readiness import Check, Readiness
from services.shared.contracts import CATALOGUE, AnyEvent
from warren_messaging.amqp.connection import close, connect
from warren_messaging.amqp.publisher import Publisher
from warren_messaging.codec import Codec
from warren_messaging.consumer.consumer import Consumer, ConsumerSettings
from warren_messaging.consumer.processor import Processor, logical_id
from warren_messaging.errors import BrokerUnavailable, ConfigurationError, MessagingError, Unavailable
from warren_messaging.handlers import Handlers
from warren_messaging.outbox.outbox import Outbox
from warren_messaging.outbox.relay import Relay
from warren_messaging.outbox.ticker import Ticker
from warren_messaging.postgres.database import Database
from warren_messaging.postgres.failures import RetryPolicy
from warren_messaging.postgres.retention import Retention, Rule, failures, inbox
from warren_messaging.telemetry import Listeners, LogTelemetry, Telemetry
from warren_messaging.transaction import Connection, Transaction

T = TypeVar("T", bound=Transaction)
S = TypeVar("S", bound=ProcessSettings)

STOPPING = (signal.SIGTERM, signal.SIGINT)
PROBE_CONNECTIONS = 100  # at most, on the port for probes and metrics


def _own_id(event: AnyEvent) -> UUID:
    """For who takes everything: two versions of one fact are two events."""
    return event.id


class Process:
    """The parts of one process. A service's `app.py` names them, `run` runs them.

    `service` is who it is to the broker, the database and in its events; `exchange` is where it publishes.
    """

    def __init__(self, service: str, settings: ProcessSettings, *, exchange: str = "order.exchange") -> None:
        settings.require_lasting_memory()
        self.service = service
        self.settings = settings
        self.database = Database(settings.database, connections=settings.database_connections)
        metrics = Metrics(service, self.database)
        self.telemetry: Telemetry = Listeners(LogTelemetry(service), metrics)
        self.relay = Relay(self.database, Publisher(settings.broker, service), self.telemetry)
        self.outbox = Outbox(self.database, self.relay, source=f"/warren/{service}", exchange=exchange)
        self._consumers: list[Consumer] = []
        self._tickers: list[Ticker[Transaction]] = []
        self._rules: list[Rule] = [inbox(settings.inbox_days), failures(settings.failures_days)]
        self._opening: list[Callable[[], Awaitable[None]]] = []
        self._closing: list[Callable[[], Awaitable[None]]] = []
        self._server: Server | None = None
        self._readiness = Readiness()
        self._readiness.require("database", self.database.probe)
        self._observation = Server(
            observation(self._readiness, metrics),
            settings.metrics_host,
            settings.metrics_port,
            connections=PROBE_CONNECTIONS,
            share=0.1,
            setting="WARREN_METRICS_PORT",
            linger=0,
        )

    def consume(
        self,
        queue: str,
        handlers: Handlers[T],
        transaction: Callable[[Connection], T],
        *,
        prefetch: int = 200,
        batch: int = 100,
        concurrency: int = 16,
        tolerant: bool = False,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - immutable
    ) -> None:
        """Consume `queue` with `handlers`; see ConsumerSettings and Processor for the numbers."""
        processor = Processor(
            consumer=self.service,
            handlers=handlers,
            transaction=transaction,
            # Who takes everything gets the data as it came: typed, it would lose the fields we do not know.
            codec=Codec({} if tolerant else CATALOGUE, tolerant=tolerant),
            database=self.database,
            outbox=self.outbox,
            telemetry=self.telemetry,
            retry=retry,
            concurrency=concurrency,
            identity=_own_id if tolerant else logical_id,
        )
        settings = ConsumerSettings(queue=queue, prefetch=prefetch, batch=batch)
        consumer = Consumer(self.settings.broker, self.database, processor, settings, self.telemetry)
        self._consumers.append(consumer)
        self._readiness.require(queue, consumer.require_consuming)

    def every(
        self, seconds: float, name: str, transaction: Callable[[Connection], T], work: Callable[[T], Awaitable[int]]
    ) -> None:
        """Do `work` every so many seconds; see Ticker."""
        ticker = Ticker(name, seconds, self.outbox, transaction, work, self.telemetry)
        self._tickers.append(ticker)  # type: ignore[arg-type]

    def forget(self, *rules: Rule) -> None:
        """Remove what is old by these rules too; see Retention. Inbox and failures have theirs anyway. Only processes
        that consume remove anything."""
        self._rules += rules

    def serve(self, application: Litestar) -> None:
        """Answer HTTP on the port of the settings."""
        self._server = Server(
            application,
            self.settings.http_host,
            self.settings.http_port,
            connections=self.settings.http_connections,
        )

    def ready_when(self, part: str, check: Check) -> None:
        """The process is ready only while `check` does not raise; database and subscriptions are checked anyway."""
        self._readiness.require(part, check)

    def first(self, check: Callable[[], Awaitable[None]]) -> None:
        """Await `check` before anything begins. It raises ConfigurationError, which ends the process, or Unavailable,
        and is then asked again until `startup_seconds` are over."""
        self._opening.append(check)

    def finally_(self, close: Callable[[], Awaitable[None]]) -> None:
        """Call `close` when everything else has ended."""
        self._closing.append(close)

    async def run(self) -> None:
        """Until SIGTERM or SIGINT; then stop consuming, finish what is under way, flush confirms, return.

        Raises ConfigurationError or Unavailable when the process cannot start.
        """
        stop = asyncio.Event()
        for number in STOPPING:
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        # Who watches is answered from the first moment to the last, also while servers are away.
        self._observation.listen()
        watched = asyncio.create_task(self._observation.run(), name="observation")
        try:
            await self._require_servers(stop)
            await self._work(stop)
        finally:
            self._observation.stop()
            await asyncio.gather(watched, return_exceptions=True)

    async def _work(self, stop: asyncio.Event) -> None:
        running = [asyncio.create_task(self.relay.run(), name="relay")]
        running += [asyncio.create_task(consumer.run(), name="consumer") for consumer in self._consumers]
        running += [asyncio.create_task(ticker.run(), name="ticker") for ticker in self._tickers]
        if self._consumers:
            retention = Retention(self.database, self.telemetry, self._rules)
            running.append(asyncio.create_task(retention.run(), name="retention"))
        if self._server is not None:
            running.append(asyncio.create_task(self._server.run(), name="http"))
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([stopped, *running], return_when=asyncio.FIRST_COMPLETED)
            await self._drain(running)
        finally:
            for task in [stopped, *running]:
                task.cancel()
            ended = await asyncio.gather(*running, return_exceptions=True)
            for close_part in self._closing:
                with suppress(Exception):
                    await close_part()
            await self.database.close()
        for error in ended:
            if isinstance(error, Exception):
                raise error

    async def _drain(self, running: list[asyncio.Task[None]]) -> None:
        """Consumers and the server first, then what their last transactions left to publish."""
        grace = self.settings.shutdown_seconds
        self._readiness.stopping = True
        for consumer in self._consumers:
            consumer.stop()
        if self._server is not None:
            self._server.stop()
        ending = [task for task in running if task.get_name() in {"consumer", "http"}]
        if ending:
            await asyncio.wait(ending, timeout=grace * 0.7)
        await self.relay.stop(grace * 0.3)

    async def _require_servers(self, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.settings.startup_seconds
        while not stop.is_set():
            try:
                await self.database.open()
                await self._try_broker()
                for check in self._opening:
                    await check()
            except Unavailable as error:
                await self.database.close()
                if loop.time() > deadline:
                    raise
                self.telemetry.state("start", f"waiting: {error}")
                await asyncio.sleep(1)
            else:
                return

    async def _try_broker(self) -> None:
        """Wrong settings end the process. A broker that is away ends it only if it consumes: who takes orders over
        HTTP goes on and keeps its events."""
        try:
            await close(await connect(self.settings.broker, f"{self.service} start"))
        except BrokerUnavailable:
            if self._consumers:
                raise


def main(build: Callable[[S], Process], kind: type[S], service: str) -> None:
    """Run a service as a program: settings from the environment, a line and an exit code for each mistake.

    Exits with 0 after a tidy stop, 78 for a wrong setting, permission or topology, 69 when a server that it
    cannot start without stayed away.
    """
    try:
        settings = read(kind)
        logs.configure(service, log_format=settings.log_format, level=settings.log_level)
        _raise_file_limit()
        uvloop.run(_to_the_end(build(settings)))
    except ConfigurationError as error:
        _die(service, error, EXIT_CONFIGURATION)
    except MessagingError as error:
        _die(service, error, EXIT_UNAVAILABLE)
    except KeyboardInterrupt:
        structlog.get_logger().info("stopped")


def _raise_file_limit() -> None:
    """Every connection is a file. Many systems start programs with a soft limit of 1024 and a far higher hard one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # some systems allow less than they report; the process can do with less
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _to_the_end(process: Process) -> None:
    try:
        await process.run()
    finally:
        # What is left takes no orders. A second SIGTERM while the interpreter ends would be the exit code of a
        # process that had finished tidily. The loop would put back the default when it closes, so it forgets them.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        for number in STOPPING:
            asyncio.get_running_loop().remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)  # for threads, which have a mask of their own


def _die(service: str, error: Exception, code: int) -> None:
    sys.stderr.write(f"{service}: {error}\n")
    sys.exit(code)
