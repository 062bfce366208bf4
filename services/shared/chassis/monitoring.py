"""The monitoring port of a process: Kubernetes asks for liveness and readiness, Prometheus for metrics.

It is never the port of customers: their connections cannot displace the probes, and no metric leaves the cluster.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from litestar import Litestar, Request, Response, get

from services.shared.chassis.http.application import HttpApplication
from services.shared.chassis.metrics import ProcessMetrics
from warren_messaging.consumer.circuit_breaker import CircuitBreaker
from warren_messaging.errors import MessagingError
from warren_messaging.service_parts import ReadinessCheck

CHECK_SECONDS = 2.0  # a check that takes longer counts as failed


class Readiness:
    """The parts that must work before the process receives requests. Each call of `failures` checks all of them."""

    def __init__(
        self,
        checks: Mapping[str, ReadinessCheck],
        circuit_breakers: Callable[[], Iterable[CircuitBreaker]] = tuple,
    ) -> None:
        self._checks = checks
        self._running: dict[str, asyncio.Task[str]] = {}
        self.circuit_breakers = circuit_breakers
        """Listed, and no reason not to be ready: the process works, and so do its other parts."""
        self.stopping = False
        """Set when the process begins to stop; it stays not ready from then on."""

    async def failures(self) -> Mapping[str, str]:
        """Check all parts at the same time. Maps each part to the reason why it is not ready, or "" if it is.

        Takes at most CHECK_SECONDS. A check that takes longer continues, and later calls wait for the same one: a
        server that hangs does not collect checks, nor connections for them.
        """
        for part, check in self._checks.items():
            if part not in self._running or self._running[part].done():
                self._running[part] = asyncio.create_task(_reason(check), name=f"check of {part}")
        await asyncio.wait(self._running.values(), timeout=CHECK_SECONDS)
        late = f"no answer within {CHECK_SECONDS:.0f} s"
        parts = {part: task.result() if task.done() else late for part, task in self._running.items()}
        return parts | {"process": "stopping"} if self.stopping else parts


async def _reason(check: ReadinessCheck) -> str:
    try:
        await check()
    except TimeoutError:
        return "no answer in time"
    except MessagingError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - a check that is wrong must not hide the others
        return f"{type(error).__name__}: {error}"
    return ""


def monitoring_application(readiness: Readiness, metrics: ProcessMetrics) -> Litestar:
    """Serve `/livez`, `/readyz` (`?verbose` lists every part) and `/metrics`, and their list at `/`."""

    @get("/livez", sync_to_thread=False)
    def livez() -> str:
        """The event loop runs. Servers are not checked, since restarting this process would not repair them."""
        return "ok\n"

    @get("/readyz")
    async def readyz(request: Request[Any, Any, Any]) -> Response[str]:
        """200 when every part is ready, else 503 and the reasons."""
        parts = await readiness.failures()
        ready = not any(parts.values())
        if ready and "verbose" not in request.query_params:
            return Response("ok\n", media_type="text/plain")
        lines = [f"[-] {part}: {reason}" if reason else f"[+] {part}" for part, reason in parts.items()]
        lines += [f"[+] circuit breaker {each.name}: {each}" for each in readiness.circuit_breakers()]
        return Response("\n".join(lines) + "\n", media_type="text/plain", status_code=200 if ready else 503)

    @get("/metrics")
    async def exposition(request: Request[Any, Any, Any]) -> Response[bytes]:
        page, content_type = await metrics.page(request.headers.get("accept", ""))
        # As a header: Litestar would add a charset to the media type, which contains one already.
        return Response(page, headers={"Content-Type": content_type})

    @get("/", sync_to_thread=False)
    def index() -> str:
        return "/livez\n/readyz?verbose\n/metrics\n"

    return HttpApplication([index, livez, readyz, exposition], openapi_config=None)
