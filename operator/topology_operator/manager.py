"""Starts the parts of the operator and runs them until a signal."""

import asyncio
import signal
import socket

import kopf
import structlog

from topology_operator.errors import KubernetesError, OperatorError, SettingsError
from topology_operator.kopf_handlers import create_registry, kopf_settings
from topology_operator.kubernetes.api import KubernetesApi, authenticate
from topology_operator.kubernetes.objects import API_VERSION, PLURAL, path_of
from topology_operator.observability.health import HealthServer
from topology_operator.observability.metrics import OperatorMetrics
from topology_operator.reconcile.controller import TopologyController
from topology_operator.settings import TopologyOperatorSettings

POLL_SECONDS = 2.0

log = structlog.get_logger()


async def run(settings: TopologyOperatorSettings) -> None:
    """Runs until SIGTERM or SIGINT. Raises `OperatorError`, and OSError if the port is in use."""
    not_ready = "starting"
    kubernetes = KubernetesApi(authenticate)
    metrics = OperatorMetrics()
    health = HealthServer(metrics.registry, lambda: not_ready)
    controller = TopologyController(kubernetes, settings, metrics)
    ready, stop = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        await health.open(settings.metrics_host, settings.metrics_port)
        log.info("started", metrics_port=health.port, namespaces=settings.served_namespaces or "all")
        not_ready = f"the kind Topology ({API_VERSION}) is not installed, or may not be listed; see the log"
        if not await _wait_for_access(kubernetes, settings.served_namespaces, stop):
            return
        not_ready = "Topologies are not watched yet"
        serving = asyncio.create_task(
            kopf.operator(
                # kopf's default contains the name of the process's user, which has no name in a container
                identity=socket.gethostname(),  # type: ignore[arg-type]
                registry=create_registry(controller, authenticate),
                settings=kopf_settings(),
                clusterwide=not settings.served_namespaces,
                namespaces=settings.served_namespaces,
                standalone=True,
                ready_flag=ready,
                stop_flag=stop,
            )
        )
        readiness = asyncio.create_task(ready.wait())
        await asyncio.wait([serving, readiness], return_when=asyncio.FIRST_COMPLETED)
        not_ready = ""
        log.info("watching topologies")
        readiness.cancel()
        await _wait_for_kopf(serving)
    finally:
        await controller.watches.close()
        await kubernetes.close()
        await health.close()
        log.info("stopped")


async def _wait_for_kopf(serving: asyncio.Task[None]) -> None:
    """Raises `OperatorError` if kopf gives up: the right to watch is missing, or the API server fails for minutes."""
    try:
        await serving
    except Exception as exc:
        if not type(exc).__module__.startswith("kopf."):  # kopf's API errors have no public name
            raise
        raise OperatorError(f"Topologies cannot be watched any more: {exc}") from exc


async def _wait_for_access(kubernetes: KubernetesApi, namespaces: tuple[str, ...], stop: asyncio.Event) -> bool:
    """Waits for the definition of Topologies and for the right to list them. Returns False if `stop` is set first.

    kopf itself would wait for a minute and end with a stack trace.
    """
    logged = ""
    while not stop.is_set():
        try:
            resources = await kubernetes.get(f"/apis/{API_VERSION}")
            if resources is not None and any(each["name"] == PLURAL for each in resources["resources"]):
                for namespace in namespaces or ("",):
                    await kubernetes.get(f"{path_of(API_VERSION, PLURAL, namespace)}?limit=1")
                return True
            reason = f"the kind Topology ({API_VERSION}) is not installed; install the CRD"
        except KubernetesError as exc:
            if exc.status == 401:
                raise SettingsError(str(exc)) from exc
            reason = str(exc)
        if reason != logged:
            log.warning("waiting for access", reason=reason)
            logged = reason
        try:
            await asyncio.wait_for(stop.wait(), POLL_SECONDS)
        except TimeoutError:
            continue
    return False
