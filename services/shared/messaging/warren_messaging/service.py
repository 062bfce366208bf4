"""A service: its consumers, outbox and periodic jobs as one object, started and stopped in the right order.

    service = Service.from_environment("loyalty", prefix="LOYALTY_")
    service.consume("loyalty.queue", {OrderPaid: on_order_paid})

    if __name__ == "__main__":
        service.run()

Inside a program that runs already (Litestar, FastAPI, plain asyncio) the service is an asynchronous context manager:
`async with service:`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import cached_property, partial
from typing import Any, Self, TypeVar

from warren_messaging.amqp.connection import opened
from warren_messaging.amqp.names import require_name
from warren_messaging.amqp.publisher import Publisher
from warren_messaging.codec import Codec
from warren_messaging.consumer.circuit_breaker import CircuitBreaker
from warren_messaging.consumer.consumer import Consumer, ConsumerSettings
from warren_messaging.consumer.delivery import event_id_of, logical_id_of
from warren_messaging.consumer.processor import Processor
from warren_messaging.errors import BrokerUnavailable, ConfigurationError, Unavailable
from warren_messaging.events import Catalogue, EventData
from warren_messaging.handlers import Effect, Handlers
from warren_messaging.outbox.outbox import Outbox
from warren_messaging.outbox.periodic_job import PeriodicJob
from warren_messaging.outbox.relay import Relay, RelaySettings
from warren_messaging.outbox.schedule import DueMessageMover
from warren_messaging.postgres.database import Database
from warren_messaging.postgres.failures import RetryPolicy
from warren_messaging.postgres.retention import Retention, RetentionRule, failures, inbox
from warren_messaging.program import run
from warren_messaging.service_parts import ConsumerDefinition, Part, ReadinessCheck, require_event_class
from warren_messaging.settings import ServiceSettings, load_settings
from warren_messaging.telemetry import LogTelemetry, Telemetry, TelemetryFanout
from warren_messaging.tracing import without_span
from warren_messaging.transaction import Connection, Transaction

T = TypeVar("T", bound=Transaction)


class Service:
    """The parts of one service in one process.

    `name` is the consumer's name in the inbox, and the source of its events is `/<name>` unless `source` is given.
    Events are published to `exchange`. `events` are the event classes that the service announces: the permission to
    publish them, which `warren-messaging topology` prints, follows from this list.

    A consumer refuses an event if the last part of its source is not the broker user that published it: each service
    has a user of its own name. With `verify_senders=False` this service accepts events of every user.

    `settings` are given, or a function returns them when they are first needed: until then nothing is read, opened or
    connected. A service may be started again after it has stopped.
    """

    def __init__(
        self,
        name: str,
        settings: ServiceSettings | Callable[[], ServiceSettings],
        *,
        exchange: str = "events",
        source: str | None = None,
        events: Iterable[type[EventData]] = (),
        verify_senders: bool = True,
        telemetry: Telemetry | None = None,
        relay: RelaySettings = RelaySettings(),  # noqa: B008 - immutable
    ) -> None:
        require_name("exchange", exchange)
        self.name = name
        self.exchange = exchange
        self.source = source or f"/{name}"
        self.telemetry: Telemetry = TelemetryFanout(telemetry or LogTelemetry())
        self.consumers: list[ConsumerDefinition] = []
        """The consumers in the order in which `consume` was called for them."""
        self.readiness_checks: dict[str, ReadinessCheck] = {"database": self._probe_database}
        """A check for the database and for each queue, by name."""
        self._given_settings = settings
        self._verify_senders = verify_senders
        self._relay_settings = relay
        self._events: dict[str, type[EventData]] = {}
        self._register(events)
        self._jobs: list[Callable[[], PeriodicJob[Any]]] = []
        self._rules: list[RetentionRule] = []
        self._extra_parts: list[Part] = []
        self._startup_checks: list[Callable[[], Awaitable[None]]] = []
        self._shutdown_hooks: list[Callable[[], Awaitable[None]]] = []
        self._started = False
        """True from the beginning of a start until everything is closed."""
        self.running_consumers: dict[str, Consumer] = {}
        """The consumers that this process runs at the moment, by queue."""
        self._parts: dict[asyncio.Task[None], Part] = {}
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    def from_environment(cls, name: str, prefix: str, **options: Any) -> Self:
        """Create a service whose settings are environment variables with names that begin with `prefix`.

        They are read when the service starts. ConfigurationError then names every missing or wrong one. `options` are
        those of the constructor.
        """
        return cls(name, partial(load_settings, ServiceSettings, prefix), **options)

    # Parts

    @cached_property
    def settings(self) -> ServiceSettings:
        """Raises ConfigurationError for wrong settings."""
        settings = self._given_settings if isinstance(self._given_settings, ServiceSettings) else self._given_settings()
        settings.require_valid()
        return settings

    @cached_property
    def database(self) -> Database:
        return Database(self.settings.database, connections=self.settings.database_connections, name=self.name)

    @cached_property
    def relay(self) -> Relay:
        publisher = Publisher(self.settings.broker, self.name)
        return Relay(self.database, publisher, self.telemetry, self._relay_settings)

    @cached_property
    def outbox(self) -> Outbox:
        """Changes state and announces events in one transaction, for code outside of handlers such as HTTP requests."""
        return Outbox(self.database, self.relay, source=self.source, exchange=self.exchange)

    @property
    def catalogue(self) -> Catalogue:
        """Every event type that the service knows, with its class."""
        return self._events

    @property
    def circuit_breakers(self) -> list[CircuitBreaker]:
        """Every circuit breaker of the service's effects, once."""
        effects = (each for definition in self.consumers for each in definition.handlers.values())
        return list({each.breaker: None for each in effects if isinstance(each, Effect) and each.breaker is not None})

    def consume(
        self,
        queue: str,
        handlers: Handlers[T],
        transaction: Callable[[Connection], T] = Transaction,  # type: ignore[assignment]  # the default of T
        *,
        prefetch: int = 200,
        batch: int = 100,
        concurrency: int = 16,
        tolerant: bool = False,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - immutable
    ) -> None:
        """Consume `queue` with `handlers`. For the numbers see ConsumerSettings and Processor.

        `transaction` makes the unit of work that the handlers of a batch share. All queues of a service have one inbox:
        an event that arrives in two of them is processed once. A `tolerant` consumer takes events of unknown types, and
        of any version. Raises ConfigurationError for a second consumer of a queue, for a second class
        of an event type, and for a name that cannot be sent.
        """
        require_name("queue", queue)
        if any(queue == each.queue for each in self.consumers):
            raise ConfigurationError(f"service {self.name} consumes {queue} twice: put all handlers into one table")
        self._register(data for data in handlers if data is not EventData)
        self.consumers.append(
            ConsumerDefinition(queue, handlers, transaction, prefetch, batch, concurrency, tolerant, retry)
        )
        self.readiness_checks[queue] = partial(self._require_consuming, queue)

    def periodic(
        self,
        name: str,
        seconds: float,
        job: Callable[[T], Awaitable[int]],
        transaction: Callable[[Connection], T] = Transaction,  # type: ignore[assignment]  # the default of T
    ) -> None:
        """Call `job` every `seconds` in a new transaction; see PeriodicJob."""
        self._jobs.append(lambda: PeriodicJob(name, seconds, self.outbox, transaction, job, self.telemetry))

    def retain(self, *rules: RetentionRule) -> None:
        """Add retention rules; see Retention. Inbox and failures have theirs already. Only processes that consume
        remove rows."""
        self._rules += rules

    def add(self, part: Part) -> None:
        """Run `part` beside the consumers, and stop it together with them."""
        self._extra_parts.append(part)

    def on_startup(self, check: Callable[[], Awaitable[None]]) -> None:
        """Await `check` before anything starts. A ConfigurationError from it ends the start; after an Unavailable it is
        called again until `startup_seconds` are over."""
        self._startup_checks.append(check)

    def on_shutdown(self, close: Callable[[], Awaitable[None]]) -> None:
        """Call `close` after everything else has ended."""
        self._shutdown_hooks.append(close)

    # Running

    def run(self) -> None:
        """Run as a program; see `run`."""
        run(self)

    async def __aenter__(self) -> Self:
        """Start, and wait until every consumer has a subscription or `startup_seconds` are over.

        Raises ConfigurationError or Unavailable when the service cannot start.
        """
        began = asyncio.get_running_loop().time()
        await self._require_servers()
        self._start_parts()
        try:
            await self._first_subscriptions(began + self.settings.startup_seconds)
        except BaseException:
            with suppress(Exception):
                await self.stop()
            raise
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        try:
            await self.stop()
        except Exception:
            if error is None:
                raise

    async def wait(self) -> None:
        """Wait until a part ends by itself, and raise its error. Only a mistake in the program or its configuration
        ends one: unavailable servers are waited for."""
        if not self._tasks:
            raise RuntimeError(f"service {self.name} is not running")
        ended, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            task.result()

    async def run_until(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set or a part ends by itself; then drain as `stop()` does.

        Raises ConfigurationError or Unavailable when the service cannot start.
        """
        stopped = asyncio.create_task(stop.wait())
        starting = asyncio.create_task(self._require_servers())
        try:
            await asyncio.wait([stopped, starting], return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                return
            starting.result()
            self._start_parts()
            try:
                await asyncio.wait([stopped, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
            finally:
                await self.stop()
        finally:
            for task in (stopped, starting):
                task.cancel()
            await asyncio.gather(stopped, starting, return_exceptions=True)

    async def stop(self) -> None:
        """Take no more messages, finish those in progress, and publish the resulting events, in `shutdown_seconds`.

        Raises the error of a part that ended by itself.
        """
        grace = self.settings.shutdown_seconds
        try:
            for part in self._parts.values():
                part.stop()
            if self._parts:
                await asyncio.wait(self._parts, timeout=grace * 0.7)
            # The parts have announced their last events: only now the relay can publish all of them.
            await self.relay.stop(grace * 0.3)
        finally:
            tasks, self._tasks = self._tasks, []
            self._parts.clear()
            self.running_consumers.clear()
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            await self._close()
        for error in ended:
            if error is not None and not isinstance(error, asyncio.CancelledError):
                raise error

    async def _close(self) -> None:
        try:
            for close_resource in self._shutdown_hooks:
                with suppress(Exception):
                    await close_resource()
            await self.database.close()
        finally:
            self._started = False

    def _start_parts(self) -> None:
        for definition in self.consumers:
            consumer = self.running_consumers[definition.queue] = self._consumer(definition)
            self._start_part(consumer, definition.queue)
        for part in self._extra_parts:
            self._start_part(part, type(part).__name__)
        self._start(self.relay.run(), "relay")
        self._start(DueMessageMover(self.outbox, self.telemetry).run(), "due messages")
        for job in self._jobs:
            self._start(job().run(), "periodic job")
        if self.consumers:
            rules = [inbox(self.settings.inbox_days), failures(self.settings.failures_days), *self._rules]
            self._start(Retention(self.database, self.telemetry, rules).run(), "retention")

    def _start_part(self, part: Part, name: str) -> None:
        self._parts[self._start(part.run(), name)] = part

    def _start(self, work: Any, name: str) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work, name=name, context=without_span())
        task.add_done_callback(self._report_failure)
        self._tasks.append(task)
        return task

    def _report_failure(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.telemetry.status(task.get_name(), f"ended: {error!r}")

    def _consumer(self, definition: ConsumerDefinition) -> Consumer:
        tolerant = definition.tolerant
        processor = Processor(
            consumer=self.name,
            handlers=definition.handlers,
            transaction=definition.transaction,
            # A tolerant consumer gets the data undecoded: a typed event would lose unknown fields.
            codec=Codec({} if tolerant else self.catalogue, tolerant=tolerant),
            database=self.database,
            outbox=self.outbox,
            telemetry=self.telemetry,
            retry=definition.retry,
            concurrency=definition.concurrency,
            dedup_key=event_id_of if tolerant else logical_id_of,
            verify_senders=self._verify_senders,
        )
        settings = ConsumerSettings(queue=definition.queue, prefetch=definition.prefetch, batch=definition.batch)
        return Consumer(self.settings.broker, self.database, processor, settings, self.telemetry)

    async def _require_servers(self) -> None:
        if self._started:
            raise RuntimeError(f"service {self.name} is running already")
        deadline = asyncio.get_running_loop().time() + self.settings.startup_seconds
        self._started = True
        try:
            while not await self._servers_available(deadline):  # noqa: ASYNC110 - servers announce nothing
                await asyncio.sleep(1)
        except BaseException:
            await self._close()
            raise

    async def _servers_available(self, deadline: float) -> bool:
        try:
            await self.database.open()
            await self._try_broker()
            for check in self._startup_checks:
                await check()
        except Unavailable as error:
            await self.database.close()
            if asyncio.get_running_loop().time() > deadline:
                raise
            self.telemetry.status("start", f"waiting: {error}")
            return False
        return True

    async def _try_broker(self) -> None:
        """Connect once. Wrong settings raise ConfigurationError. Without a broker, a service that consumes nothing
        starts all the same: its events stay in the outbox."""
        try:
            async with opened(self.settings.broker, f"{self.name} start"):
                pass
        except BrokerUnavailable:
            if self.consumers:
                raise

    async def _first_subscriptions(self, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        while not all(consumer.consuming for consumer in self.running_consumers.values()) and loop.time() < deadline:
            ended, _ = await asyncio.wait(self._tasks, timeout=0.02, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()

    # Readiness

    async def _probe_database(self) -> None:
        await self.database.probe()

    async def _require_consuming(self, queue: str) -> None:
        consumer = self.running_consumers.get(queue)
        if consumer is None:
            raise BrokerUnavailable("no subscription at the broker")
        await consumer.require_consuming()

    def _register(self, events: Iterable[type[EventData]]) -> None:
        for data in events:
            require_event_class(self.name, data)
            if self._events.setdefault(data.TYPE, data) is not data:
                raise ConfigurationError(
                    f"service {self.name} has two classes of the type {data.TYPE!r}:"
                    f" {self._events[data.TYPE].__qualname__} and {data.__qualname__}"
                )
