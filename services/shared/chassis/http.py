"""HTTP as every service speaks it: RFC 9457 problems, OpenAPI, limits, and a server that stops tidily."""

import asyncio
import socket
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import msgspec
import structlog
import uvicorn
from asyncpg import LockNotAvailableError
from litestar import Litestar, Request, Response, Router
from litestar.exceptions import HTTPException, MethodNotAllowedException, ValidationException
from litestar.status_codes import HTTP_500_INTERNAL_SERVER_ERROR, HTTP_503_SERVICE_UNAVAILABLE
from litestar.types import ASGIApp, ControllerRouterHandler, Message, Receive, Scope, Send
from litestar.utils import normalize_path

from services.shared.chassis.connections import Connections, check_all
from services.shared.chassis.document import document_of, index_routes
from services.shared.chassis.metrics import HTTP_METRICS
from services.shared.chassis.problems import Problem
from services.shared.chassis.requests import JsonRequest, check_parameters, complaints, learn_parameters
from warren_messaging.errors import ConfigurationError, Unavailable

__all__ = ["MAX_BODY", "Problem", "Server", "application"]

MAX_BODY = 64 * 1024  # bytes
BACKLOG = 2048  # connections that may wait to be taken up
KEEP_ALIVE = 75  # seconds; longer than clients and proxies keep an idle connection, so that it is they who close it
LINGER = 2.0  # seconds
POLL = 0.02  # seconds
VERSION = "0.1.0"
"""Of the HTTP interfaces, as their documents say."""


class Application(Litestar):
    """Litestar, with HEAD wherever there is GET, and OPTIONS that names every method of a path."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        method = scope.get("method")
        if method == "HEAD":
            scope, send = {**scope, "method": "GET"}, _without_body(send)
        elif method == "OPTIONS" and (allowed := self._allowed(scope["path"])):
            await send({"type": "http.response.start", "status": 204, "headers": [(b"allow", allowed.encode())]})
            await send({"type": "http.response.body", "body": b""})
            return
        await super().__call__(scope, receive, send)

    def _allowed(self, path: str) -> str | None:
        try:
            self.asgi_router.handle_routing(path=normalize_path(path), method="TRACE")
        except MethodNotAllowedException as error:
            return _with_head((error.headers or {})["allow"])
        except HTTPException:
            return None
        return None


def _with_head(allowed: str) -> str:
    methods = {name.strip() for name in allowed.split(",")}
    return ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))


def _without_body(send: Send) -> Send:
    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.body":
            message["body"] = b""
        await send(message)

    return send_head


def application(
    routes: list[ControllerRouterHandler], *, title: str, version: str = VERSION, index: str = "/"
) -> Litestar:
    """An application with the house's error answers, its OpenAPI document at /schema/openapi.json, and a list of
    its routes at / and `index`."""
    document = document_of(routes, title=title, version=version)
    paths = list(dict.fromkeys(["/", index]))
    checked = Router(path="/", route_handlers=[*routes, index_routes(document, paths)], before_request=check_parameters)
    app = Application(
        route_handlers=[checked],
        request_class=JsonRequest,
        request_max_body_size=MAX_BODY,
        middleware=[HTTP_METRICS.middleware],
        openapi_config=None,
        exception_handlers={
            Unavailable: _unavailable,
            ConfigurationError: _misconfigured,
            TimeoutError: _unavailable,
            LockNotAvailableError: _unavailable,
            HTTPException: _http_error,
            Exception: _unexpected,
        },
    )
    app.state["document"] = document
    learn_parameters(app)
    return app


def _problem(
    request: Request[Any, Any, Any],
    status: int,
    title: str,
    detail: str,
    headers: dict[str, str] | None = None,
    **members: object,
) -> Response[bytes]:
    body = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": request.url.path,
        **members,
    }
    return Response(
        msgspec.json.encode(body), status_code=status, media_type="application/problem+json", headers=headers
    )


def _http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    headers = dict(error.headers or {})
    if isinstance(error, Problem):
        return _problem(request, error.status_code, error.title, error.detail, headers, **error.members)
    title = _titles.get(error.status_code, "Request failed")
    members: dict[str, object] = {}
    detail = error.detail
    if error.status_code == 404:
        detail = f"There is nothing at {request.url.path!r}. GET / lists what there is."
    if "allow" in headers:
        headers["allow"] = allowed = _with_head(headers["allow"])
        detail = f"{request.method} is not possible here; {allowed} are."
    if isinstance(error, ValidationException):
        # Litestar's own text repeats the request line; what helps is which field is wrong and why.
        errors = complaints(request, error)
        members = {"errors": errors}
        detail = "; ".join(f"{each['key']}: {each['message']}" for each in errors) or detail
    return _problem(request, error.status_code, title, detail, headers, **members)


_titles = {
    400: "Bad request",
    401: "Not authenticated",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    413: "Body too large",
    415: "Unsupported media type",
    429: "Too many requests",
}


def _unavailable(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    structlog.get_logger().warning("request refused", path=request.url.path, reason=str(error))
    return _come_again(request)


def _misconfigured(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """A secret that a server does not know yet, or no longer: to the caller the same as a server that is away."""
    structlog.get_logger().error("request refused", path=request.url.path, reason=str(error))
    return _come_again(request)


def _come_again(request: Request[Any, Any, Any]) -> Response[bytes]:
    return _problem(
        request,
        HTTP_503_SERVICE_UNAVAILABLE,
        "Temporarily unavailable",
        "A server that this needs is away or too slow. Send the request again.",
        {"Retry-After": "2"},
    )


def _unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    structlog.get_logger().error("request failed", path=request.url.path, exc_info=error)
    return _problem(
        request, HTTP_500_INTERNAL_SERVER_ERROR, "Internal error", "The error was logged; the request may be retried."
    )


class Server:
    """uvicorn inside the process's own event loop; signals stay with the process. `setting` names the port's.

    `linger` is for how many seconds after `stop` those who keep a connection open are still answered. For
    `connections` and `share` of the process's files see Connections.
    """

    def __init__(
        self,
        app: Litestar,
        host: str,
        port: int,
        *,
        connections: int = 1000,
        share: float = 0.5,
        setting: str = "WARREN_HTTP_PORT",
        linger: float = LINGER,
    ) -> None:
        self._farewell = _Farewell(app)
        config = uvicorn.Config(
            self._farewell,
            http=cast("type[asyncio.Protocol]", Connections(connections, share).protocol),  # any callable will do
            ws="none",
            log_level="error",  # what clients do wrong is answered, and must not fill the log
            access_log=False,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=10,
        )
        self._server = _Quiet(config)
        self._host = host
        self._port = port
        self._setting = setting
        self._linger = linger
        self._socket: socket.socket | None = None
        self._leaving: asyncio.Task[None] | None = None

    def listen(self) -> None:
        """Take the port; connections wait until `run`. Raises ConfigurationError when it cannot be had."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        try:
            self._socket = socket.create_server((self._host, self._port), family=family, backlog=BACKLOG)
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise ConfigurationError(
                f"cannot listen on {self._host} port {self._port}: {reason}; see {self._setting}"
            ) from error
        structlog.get_logger().info("listening", host=self._host, port=self._socket.getsockname()[1])

    async def run(self) -> None:
        """Until `stop`. Raises what `listen` raises, which is called unless it was before."""
        if self._socket is None:
            self.listen()
        await self._server.serve(sockets=[self._socket] if self._socket else None)

    def stop(self) -> None:
        """Every answer is from now on the last of its connection; when there is no connection left, or `linger` is
        over, the port is closed. No request is cut off that came on a connection in use."""
        if self._leaving is None:
            self._farewell.said = True
            self._leaving = asyncio.get_running_loop().create_task(self._leave(), name="leaving")

    async def _leave(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._linger
        while self._server.server_state.connections and loop.time() < deadline:  # noqa: ASYNC110 - uvicorn tells nobody
            await asyncio.sleep(POLL)
        self._server.should_exit = True


class _Farewell:
    """Once it is `said`, each answer tells its client that the connection ends. To close one without a word would cut
    off the request that is on its way just then."""

    def __init__(self, app: ASGIApp) -> None:
        self.said = False
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def told(message: Message) -> None:
            if self.said and message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        await self._app(scope, receive, told)


class _Quiet(uvicorn.Server):
    async def on_tick(self, counter: int) -> bool:
        """uvicorn calls it ten times a second."""
        if counter % 10 == 0:
            check_all(self.server_state.connections, asyncio.get_running_loop().time())
        return await super().on_tick(counter)

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        """The process handles signals."""
        return nullcontext()
