"""A fake Kubernetes API server with the parts of Secrets and ConfigMaps that provisioning uses, over TLS on loopback.

It knows no roles: `forbidden` names the requests that it refuses, as "POST secrets". `before` is called ahead of each
request, so that a test can act as a faster client.
"""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import trustme

NAMESPACE = "shop"
TOKEN = "the-token-of-this-pod"
Object = dict[str, Any]


class FakeApiServer:
    """Objects by resource and name, and every request that came."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Object] = {}
        self.requests: list[str] = []
        self.forbidden: set[str] = set()
        self.before: Callable[[str, str, str], None] = lambda verb, resource, name: None
        self.port = 0
        self.authority_key = b""

    def answer(self, verb: str, path: str, token: str | None, body: Object | None) -> tuple[int, Object]:
        """Return the status code and the object of the response, as a real API server does."""
        if token != f"Bearer {TOKEN}":
            return _failure(401, "Unauthorized", "Unauthorized")
        prefix = f"/api/v1/namespaces/{NAMESPACE}/"
        if not path.startswith(prefix):
            return _failure(404, "NotFound", f"there is no {path}")
        resource, _, name = path.removeprefix(prefix).partition("/")
        self.before(verb, resource, name or str((body or {}).get("metadata", {}).get("name")))
        self.requests.append(f"{verb} {resource}")
        if f"{verb} {resource}" in self.forbidden:
            return _failure(403, "Forbidden", f'{resource} is forbidden: User "pod" cannot {verb.lower()} it')
        if verb == "POST":
            return self._create(resource, body or {})
        if (resource, name) not in self.objects:
            return _failure(404, "NotFound", f'{resource} "{name}" not found')
        return self._replace(resource, name, body or {}) if verb == "PUT" else (200, self.objects[resource, name])

    def _replace(self, resource: str, name: str, body: Object) -> tuple[int, Object]:
        if self.objects[resource, name].get("type") != body.get("type"):
            return _failure(422, "Invalid", f'Secret "{name}" is invalid: type: field is immutable')
        self.objects[resource, name] = body
        return 200, body

    def _create(self, resource: str, body: Object) -> tuple[int, Object]:
        name = body["metadata"]["name"]
        if body["metadata"]["namespace"] != NAMESPACE:
            return _failure(400, "BadRequest", "the namespace of the object does not match that of the request")
        if (resource, name) in self.objects:
            return _failure(409, "AlreadyExists", f'{resource} "{name}" already exists')
        self.objects[resource, name] = body
        return 201, body


def _failure(code: int, reason: str, message: str) -> tuple[int, Object]:
    return code, {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}


@contextmanager
def serving(account: Path) -> Iterator[FakeApiServer]:
    """Runs on a free port; `account` becomes what is mounted into a pod with a service account."""
    fake = FakeApiServer()

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            code, object_ = fake.answer(self.command, self.path, self.headers.get("Authorization"), body)
            content = json.dumps(object_).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = handle_any  # noqa: N815 - names of the library

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            pass

    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    account.mkdir(parents=True)
    authority.cert_pem.write_to_path(account / "ca.crt")
    fake.authority_key = authority.private_key_pem.bytes()
    (account / "token").write_text(f"{TOKEN}\n")
    (account / "namespace").write_text(NAMESPACE)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        fake.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield fake
        finally:
            server.shutdown()
            thread.join()
