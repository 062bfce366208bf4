"""The HTTP server of a sink: a thread for each connection."""

import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec


class SinkHandler(BaseHTTPRequestHandler):
    """A handler that sends JSON and logs no requests."""

    protocol_version = "HTTP/1.1"
    timeout = 30
    # A response is small: Nagle's algorithm would only delay it.
    disable_nagle_algorithm = True

    def read_body(self, limit: int) -> bytes | None:
        """Return the body; None if it is longer than `limit` bytes or does not say how long it is.

        Then the connection ends with the response.
        """
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > limit:
            self.close_connection = True
            return None
        return self.rfile.read(int(length))

    def respond(self, status: int, content: object) -> None:
        self.respond_bytes(status, msgspec.json.encode(content), "application/json")

    def respond_bytes(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Logs no requests."""


class SinkServer:
    """Serves from the start until `stop`, on threads of its own. Port 0 takes a free one, which `port` names."""

    def __init__(self, host: str, port: int, handler: type[SinkHandler], tls: ssl.SSLContext | None = None) -> None:
        """Raises OSError if the port is taken."""
        self._listener = _Listener((host, port), handler)
        if tls is not None:
            # The handshake runs on the thread of its connection, so that a silent client blocks no other.
            self._listener.socket = tls.wrap_socket(
                self._listener.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = self._listener.server_port
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
