"""uvicorn inside the process's own event loop: a port, limits on clients, and a stop that cuts off no request."""

import asyncio
import socket
from contextlib import AbstractContextManager, nullcontext
from typing import cast

import structlog
import uvicorn
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from services.shared.chassis.http.connection_limits import ConnectionLimiter, check_all_deadlines
from warren_messaging.errors import ConfigurationError

BACKLOG = 2048  # connections that the kernel holds until they are accepted
KEEP_ALIVE = 75  # seconds; longer than clients and proxies keep an idle connection, so that they close it first
LINGER = 2.0  # seconds
POLL = 0.02  # seconds


class HttpServer:
    """Serves one application on one port. Signals stay with the process. `setting` names the port's variable.

    For `linger` seconds after `stop`, requests on open connections are still answered. For `connections` and `share`
    of the process's files see ConnectionLimiter.
    """

    def __init__(
        self,
        app: ASGIApp,
        host: str,
        port: int,
        *,
        connections: int = 1000,
        share: float = 0.5,
        setting: str = "WARREN_HTTP_PORT",
        linger: float = LINGER,
    ) -> None:
        self._closer = _ConnectionCloser(app)
        config = uvicorn.Config(
            self._closer,
            http=cast("type[asyncio.Protocol]", ConnectionLimiter(connections, share).protocol),  # any callable works
            ws="none",
            log_level="error",  # clients' mistakes are answered, and must not fill the log
            log_config=None,  # its lines have the form of all others
            access_log=False,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=10,
        )
        self._server = _UvicornServer(config)
        self._host = host
        self._port = port
        self._setting = setting
        self._linger = linger
        self._socket: socket.socket | None = None
        self._stopping: asyncio.Task[None] | None = None

    def listen(self) -> None:
        """Bind the port; connections wait until `run`. Raises ConfigurationError if the port cannot be bound."""
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
        """Serve until `stop`. Calls `listen` if that has not been done, and raises what it raises."""
        if self._socket is None:
            self.listen()
        await self._server.serve(sockets=[self._socket] if self._socket else None)

    def stop(self) -> None:
        """Close each connection after its next response, and the port when none is left or `linger` is over."""
        if self._stopping is None:
            self._closer.active = True
            self._stopping = asyncio.get_running_loop().create_task(self._stop_when_idle(), name="http stop")

    async def _stop_when_idle(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._linger
        while self._server.server_state.connections and loop.time() < deadline:  # noqa: ASYNC110 - uvicorn has no event
            await asyncio.sleep(POLL)
        self._server.should_exit = True


class _ConnectionCloser:
    """Adds `Connection: close` to every response while `active`. A connection that is closed without the header loses
    a request that the client is sending at that moment."""

    def __init__(self, app: ASGIApp) -> None:
        self.active = False
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_close(message: Message) -> None:
            if self.active and message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        await self._app(scope, receive, send_with_close)


class _UvicornServer(uvicorn.Server):
    async def on_tick(self, counter: int) -> bool:
        """Check the connections' deadlines once a second; uvicorn calls this ten times a second."""
        if counter % 10 == 0:
            check_all_deadlines(self.server_state.connections, asyncio.get_running_loop().time())
        return await super().on_tick(counter)

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        """Leave the signals to the process."""
        return nullcontext()
