"""The port for those who watch a process: Kubernetes asks whether it lives and is ready, Prometheus reads figures.

It is never the port of customers: no caller can crowd the probes out, and no figure leaves the cluster.
"""

from typing import Any

from litestar import Litestar, Request, Response, get

from services.shared.chassis.http import Application
from services.shared.chassis.metrics import CONTENT_TYPE, Metrics
from services.shared.chassis.readiness import Readiness


def observation(readiness: Readiness, metrics: Metrics) -> Litestar:
    """`/livez`, `/readyz` (`?verbose` names every part) and `/metrics`, named at `/`."""

    @get("/livez", sync_to_thread=False)
    def livez() -> str:
        """The event loop turns; it says nothing of servers, since a restart would not bring them back."""
        return "ok\n"

    @get("/readyz")
    async def readyz(request: Request[Any, Any, Any]) -> Response[str]:
        """200 when every part is ready, else 503 and the reasons."""
        parts = await readiness.missing()
        ready = not any(parts.values())
        if ready and "verbose" not in request.query_params:
            return Response("ok\n", media_type="text/plain")
        lines = [f"[-] {part}: {reason}" if reason else f"[+] {part}" for part, reason in parts.items()]
        return Response("\n".join(lines) + "\n", media_type="text/plain", status_code=200 if ready else 503)

    @get("/metrics")
    async def exposition() -> Response[bytes]:
        # As a header: to a media type the framework adds a charset, and this one has its own.
        return Response(await metrics.page(), headers={"Content-Type": CONTENT_TYPE})

    @get("/", sync_to_thread=False)
    def index() -> str:
        return "/livez\n/readyz?verbose\n/metrics\n"

    return Application([index, livez, readyz, exposition], openapi_config=None)
