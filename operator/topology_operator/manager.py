"""The parts of the operator, put together and run until a signal."""

from __future__ import annotations

import asyncio
import signal
import socket

import kopf
import structlog

from topology_operator import kopf_handlers
from topology_operator.errors import KubernetesError, OperatorError, SettingsError
from topology_operator.kubernetes import authentication
from topology_operator.kubernetes.api import KubernetesApi
from topology_operator.kubernetes.identifiers import API_VERSION, PLURAL
from topology_operator.observability.health import HealthServer
from topology_operator.observability.metrics import OperatorMetrics
from topology_operator.reconcile.controller import TopologyController
from topology_operator.settings import TopologyOperatorSettings

KIND_WAIT_SECONDS = 2.0

log = structlog.get_logger()


async def run(settings: TopologyOperatorSettings) -> None:
    """Serves until SIGTERM or SIGINT. Raises `OperatorError`, and OSError when the port is taken."""
    waiting = "starting"
    kubernetes = KubernetesApi(authentication.connect)
    metrics = OperatorMetrics()
    health = HealthServer(metrics.registry, lambda: waiting)
    worker = TopologyController(kubernetes, settings, metrics)
    ready = asyncio.Event()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await health.open(settings.metrics_host, settings.metrics_port)
        log.info("started", metrics_port=health.port, namespaces=settings.served or "all")
        waiting = f"the kind Topology ({API_VERSION}) is not installed, or may not be listed; see the log"
        if not await _may_list(kubernetes, settings.served, stop):
            return
        waiting = "Topologies are not watched yet"
        serving = asyncio.create_task(
            kopf.operator(
                # Kopf's own name for us begins with that of our user, which has none in a container.
                identity=socket.gethostname(),  # type: ignore[arg-type]
                registry=kopf_handlers.registered(worker, authentication.connect),
                settings=kopf_handlers.configured(kopf.OperatorSettings()),
                clusterwide=not settings.served,
                namespaces=settings.served,
                standalone=True,
                ready_flag=ready,
                stop_flag=stop,
            )
        )
        readiness = asyncio.create_task(ready.wait())
        await asyncio.wait([serving, readiness], return_when=asyncio.FIRST_COMPLETED)
        waiting = ""
        log.info("watching Topologies")
        readiness.cancel()
        await _served(serving)
    finally:
        await worker.watches.close()
        await kubernetes.close()
        await health.close()
        log.info("stopped")


async def _served(serving: asyncio.Task[None]) -> None:
    """Raises `OperatorError` where kopf gives up: a right to watch is missing, or the API server fails for minutes."""
    try:
        await serving
    except Exception as exc:
        if not type(exc).__module__.startswith("kopf."):  # its errors of the API have no public name
            raise
        raise OperatorError(f"Topologies cannot be watched any more: {exc}") from exc


async def _may_list(kubernetes: KubernetesApi, served: tuple[str, ...], stop: asyncio.Event) -> bool:
    """Waits for the definition and for the right to list; false when the process is to stop before they came.

    kopf would try for a minute, and end with a stack trace.
    """
    told = ""
    while not stop.is_set():
        try:
            listed = await kubernetes.get(f"/apis/{API_VERSION}")
            if listed is not None and any(each["name"] == PLURAL for each in listed["resources"]):
                for where in [f"namespaces/{name}/" for name in served] or [""]:
                    await kubernetes.get(f"/apis/{API_VERSION}/{where}{PLURAL}?limit=1")
                return True
            reason = f"the kind Topology ({API_VERSION}) is not installed; install the CRD"
        except KubernetesError as exc:
            if exc.status == 401:
                raise SettingsError(str(exc)) from exc
            reason = str(exc)
        if reason != told:
            log.warning("waiting", reason=reason)
            told = reason
        try:
            await asyncio.wait_for(stop.wait(), KIND_WAIT_SECONDS)
        except TimeoutError:
            continue
    return False
