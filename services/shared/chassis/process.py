"""One service process: its consumers, HTTP server and scheduled jobs, started and stopped in the right order."""

import asyncio
import gc
import os
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
from services.shared.chassis.http.server import HttpServer
from services.shared.chassis.metrics import ServiceMetrics
from services.shared.chassis.monitoring import Readiness, ReadinessCheck, monitoring_application
from services.shared.chassis.settings import ProcessSettings, load_settings
from services.shared.contracts import CATALOGUE, AnyEvent
from warren_messaging.amqp.connection import close, connect
from warren_messaging.amqp.publisher import Publisher
from warren_messaging.codec import Codec
from warren_messaging.consumer.consumer import Consumer, ConsumerSettings
from warren_messaging.consumer.delivery import logical_id_of
from warren_messaging.consumer.processor import Processor
from warren_messaging.errors import BrokerUnavailable, ConfigurationError, MessagingError, Unavailable
from warren_messaging.handlers import Handlers
from warren_messaging.outbox.outbox import Outbox
from warren_messaging.outbox.periodic_job import PeriodicJob
from warren_messaging.outbox.relay import Relay
from warren_messaging.postgres.database import Database
from warren_messaging.postgres.failures import RetryPolicy
from warren_messaging.postgres.retention import Retention, RetentionRule, failures, inbox
from warren_messaging.telemetry import LogTelemetry, Telemetry, TelemetryFanout
from warren_messaging.transaction import Connection, Transaction

T = TypeVar("T", bound=Transaction)
S = TypeVar("S", bound=ProcessSettings)

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
MONITORING_CONNECTIONS = 100  # at most, on the monitoring port


def _event_id(event: AnyEvent) -> UUID:
    """The dedup key of a tolerant consumer: two versions of one fact are two events."""
    return event.id


class ServiceProcess:
    """The parts of one process: the service's `app.py` registers them, `run` runs them.

    `service` is the name of its broker user, its database role, and the source of its events. It publishes to
    `exchange`.
    """

    def __init__(self, service: str, settings: ProcessSettings, *, exchange: str = "order.exchange") -> None:
        settings.require_consistent_retention()
        self.service = service
        self.settings = settings
        self.database = Database(settings.database, connections=settings.database_connections, name=f"warren {service}")
        metrics = ServiceMetrics(service, self.database)
        self.telemetry: Telemetry = TelemetryFanout(
            LogTelemetry(lambda: structlog.get_logger(service=service).bind()), metrics
        )
        self.relay = Relay(self.database, Publisher(settings.broker, service), self.telemetry)
        self.outbox = Outbox(self.database, self.relay, source=f"/warren/{service}", exchange=exchange)
        self._consumers: list[Consumer] = []
        self._jobs: list[PeriodicJob[Transaction]] = []
        self._rules: list[RetentionRule] = [inbox(settings.inbox_days), failures(settings.failures_days)]
        self._startup_checks: list[Callable[[], Awaitable[None]]] = []
        self._shutdown_hooks: list[Callable[[], Awaitable[None]]] = []
        self._server: HttpServer | None = None
        self._readiness = Readiness()
        self._readiness.require("database", self.database.probe)
        self._monitoring = HttpServer(
            monitoring_application(self._readiness, metrics),
            settings.metrics_host,
            settings.metrics_port,
            connections=MONITORING_CONNECTIONS,
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
        """Consume `queue` with `handlers`. For the numbers see ConsumerSettings and Processor.

        A `tolerant` consumer takes events of unknown types, and of any version.
        """
        processor = Processor(
            consumer=self.service,
            handlers=handlers,
            transaction=transaction,
            # A tolerant consumer gets the data undecoded: a typed event would lose unknown fields.
            codec=Codec({} if tolerant else CATALOGUE, tolerant=tolerant),
            database=self.database,
            outbox=self.outbox,
            telemetry=self.telemetry,
            retry=retry,
            concurrency=concurrency,
            dedup_key=_event_id if tolerant else logical_id_of,
        )
        settings = ConsumerSettings(queue=queue, prefetch=prefetch, batch=batch)
        consumer = Consumer(self.settings.broker, self.database, processor, settings, self.telemetry)
        self._consumers.append(consumer)
        self._readiness.require(queue, consumer.require_consuming)

    def schedule(
        self, seconds: float, name: str, transaction: Callable[[Connection], T], work: Callable[[T], Awaitable[int]]
    ) -> None:
        """Run `work` every `seconds`; see PeriodicJob."""
        job = PeriodicJob(name, seconds, self.outbox, transaction, work, self.telemetry)
        self._jobs.append(job)  # type: ignore[arg-type]

    def retain(self, *rules: RetentionRule) -> None:
        """Add retention rules; see Retention. Inbox and failures have theirs already. Only processes that consume
        remove rows."""
        self._rules += rules

    def serve(self, application: Litestar) -> None:
        """Serve `application` on the HTTP port of the settings."""
        self._server = HttpServer(
            application,
            self.settings.http_host,
            self.settings.http_port,
            connections=self.settings.http_connections,
        )

    def ready_when(self, part: str, check: ReadinessCheck) -> None:
        """Add a readiness check. The database and each consumer have theirs already."""
        self._readiness.require(part, check)

    def on_startup(self, check: Callable[[], Awaitable[None]]) -> None:
        """Await `check` before anything starts. A ConfigurationError from it ends the process; after an Unavailable
        it is called again until `startup_seconds` are over."""
        self._startup_checks.append(check)

    def on_shutdown(self, close: Callable[[], Awaitable[None]]) -> None:
        """Call `close` after everything else has ended."""
        self._shutdown_hooks.append(close)

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT; then stop consuming, finish the work in progress, flush confirms, return.

        Raises ConfigurationError or Unavailable when the process cannot start.
        """
        stop = asyncio.Event()
        for number in STOP_SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        # The monitoring port answers from the beginning to the end, also while servers are unavailable.
        self._monitoring.listen()
        monitoring = asyncio.create_task(self._monitoring.run(), name="monitoring")
        try:
            await self._require_servers(stop)
            _spare_garbage_collector()
            await self._work(stop)
        finally:
            self._monitoring.stop()
            await asyncio.gather(monitoring, return_exceptions=True)

    async def _work(self, stop: asyncio.Event) -> None:
        running = [asyncio.create_task(self.relay.run(), name="relay")]
        running += [asyncio.create_task(consumer.run(), name="consumer") for consumer in self._consumers]
        running += [asyncio.create_task(job.run(), name="periodic job") for job in self._jobs]
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
            for close_part in self._shutdown_hooks:
                with suppress(Exception):
                    await close_part()
            await self.database.close()
        for error in ended:
            if isinstance(error, Exception):
                raise error

    async def _drain(self, running: list[asyncio.Task[None]]) -> None:
        """Stop consumers and the HTTP server, then wait until the relay has published their last events."""
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
                for check in self._startup_checks:
                    await check()
            except Unavailable as error:
                await self.database.close()
                if loop.time() > deadline:
                    raise
                self.telemetry.status("start", f"waiting: {error}")
                await asyncio.sleep(1)
            else:
                return

    async def _try_broker(self) -> None:
        """Connect once. Wrong settings raise ConfigurationError. Without a broker, a process that only serves HTTP
        starts all the same: its events stay in the outbox."""
        try:
            await close(await connect(self.settings.broker, f"{self.service} start"))
        except BrokerUnavailable:
            if self._consumers:
                raise


def main(build: Callable[[S], ServiceProcess], kind: type[S], service: str) -> None:
    """Run a service as a program with settings from the environment. Each error prints one line.

    Exits with 0 after an orderly stop, 78 for a wrong setting, permission or topology, and 69 if a server that it
    needs to start remained unavailable.
    """
    try:
        settings = load_settings(kind)
        logs.configure(service, log_format=settings.log_format, level=settings.log_level)
        _raise_file_limit()
        uvloop.run(_run(build(settings)))
    except MessagingError as error:
        sys.stderr.write(f"{service}: {error}\n")
        sys.exit(os.EX_CONFIG if isinstance(error, ConfigurationError) else os.EX_UNAVAILABLE)
    except KeyboardInterrupt:
        structlog.get_logger().info("stopped")


def _spare_garbage_collector() -> None:
    """Exempt what exists after startup from garbage collection, and collect the rest once for a batch of messages.

    A batch makes thousands of objects that die with it. By default they trigger a dozen collections.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _raise_file_limit() -> None:
    """Every connection is a file. Many systems start programs with a soft limit of 1024 and a far higher hard one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # some systems allow less than they report; the process works with less
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _run(process: ServiceProcess) -> None:
    try:
        await process.run()
    finally:
        # From here on signals are ignored: a second SIGTERM while the interpreter ends would change the exit code of a
        # process that has stopped in order. The loop restores the default on closing, so its handlers go first.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        for number in STOP_SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)  # for threads, which have a signal mask of their own
