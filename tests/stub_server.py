"""An HTTP server on loopback whose responses a test decides."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class StubRequest(NamedTuple):
    method: str
    path: str
    headers: Mapping[str, str]
    body: Any
    """Decoded JSON; {} without a body."""


@contextmanager
def stub_server(respond: Callable[[StubRequest], tuple[int, object]]) -> Iterator[str]:
    """Run the server; yields its URL. `respond` returns status and body, text or an object for JSON."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "{}")
            status, content = respond(StubRequest(self.command, self.path, self.headers, body))
            data = (content if isinstance(content, str) else json.dumps(content)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET  # noqa: N815 - the names that http.server requires

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
