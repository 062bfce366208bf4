"""One process of the shop: a `Service` with an HTTP server, monitoring and settings from the environment."""

import asyncio
import gc
import os
import resource
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import structlog
from litestar import Litestar

from services.shared.chassis import logs, tracing
from services.shared.chassis.http.access_log import AccessLog
from services.shared.chassis.http.request_spans import RequestSpans
from services.shared.chassis.http.server import HttpServer
from services.shared.chassis.metrics import ProcessMetrics
from services.shared.chassis.monitoring import Readiness, monitoring_application
from services.shared.chassis.settings import ENV_PREFIX, ProcessSettings
from services.shared.contracts import CATALOGUE
from warren_messaging.program import run_program
from warren_messaging.service import Service
from warren_messaging.service_parts import ReadinessCheck
from warren_messaging.settings import load_settings
from warren_messaging.telemetry import LogTelemetry, Telemetry, TelemetryFanout
from warren_messaging.tracing import enabled

S = TypeVar("S", bound=ProcessSettings)

MONITORING_CONNECTIONS = 100  # at most, on the monitoring port


class ServiceProcess(Service):
    """The parts of one process: the service's `app.py` registers them, `main` runs them.

    `service` is the name of its broker user and its database role.
    """

    def __init__(self, service: str, settings: ProcessSettings, *, exchange: str = "order.exchange") -> None:
        super().__init__(service, settings, exchange=exchange, source=f"/warren/{service}", events=CATALOGUE.values())
        self._process_settings = settings
        self.metrics = ProcessMetrics()
        self.metrics.watch(self)
        self._listeners = TelemetryFanout(LogTelemetry(lambda: structlog.get_logger().bind()), self.metrics.messaging)
        self.telemetry = self._listeners
        self.http: HttpServer | None = None
        self._readiness = Readiness(self.readiness_checks, lambda: self.circuit_breakers)
        self._monitoring = HttpServer(
            monitoring_application(self._readiness, self.metrics),
            settings.metrics_host,
            settings.metrics_port,
            connections=MONITORING_CONNECTIONS,
            share=0.1,
            setting=f"{ENV_PREFIX}METRICS_PORT",
            linger=0,
        )

    def serve(self, application: Litestar) -> None:
        """Serve `application` on the HTTP port of the settings."""
        settings = self._process_settings
        logged = AccessLog(application)
        traced = RequestSpans(logged) if enabled() else logged
        self.http = HttpServer(traced, settings.http_host, settings.http_port, connections=settings.http_connections)
        self.add(self.http)

    def listen(self, listener: Telemetry) -> None:
        """Report to a listener of the service, too."""
        self._listeners.add(listener)

    def ready_when(self, part: str, check: ReadinessCheck) -> None:
        """Add a readiness check. The database and each consumer have theirs already."""
        self.readiness_checks[part] = check

    async def run_until(self, stop: asyncio.Event) -> None:
        # The monitoring port answers from the beginning to the end, also while servers are unavailable.
        self._monitoring.listen()
        monitoring = asyncio.create_task(self._monitoring.run(), name="monitoring")
        self.on_startup(_spare_garbage_collector)
        try:
            await super().run_until(stop)
        finally:
            self._monitoring.stop()
            await asyncio.gather(monitoring, return_exceptions=True)

    async def stop(self) -> None:
        self._readiness.stopping = True
        await super().stop()


def main(build: Callable[[S], ServiceProcess], kind: type[S], service: str) -> None:
    """Run a service as a program with settings from the environment; for its exit codes see `run_program`.

    `service` is its name in the logs.
    """
    logs.configure(service, log_format=logs.requested_format(os.environ), level="info")

    async def run(stop: asyncio.Event) -> None:
        settings = load_settings(kind, ENV_PREFIX)
        logs.configure(service, log_format=settings.log_format, level=settings.log_level)
        _raise_file_limit()
        with tracing.exported(service):
            await build(settings).run_until(stop)

    run_program(service, run, lambda error: structlog.get_logger().critical(str(error)))


async def _spare_garbage_collector() -> None:
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
