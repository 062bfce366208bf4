"""Proxies leave no connection open, whatever client and server do: pytest fails for each unclosed one."""

import gc
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from devtools.servers.credentials import Certificates
from faults.proxy import SSL_REQUEST, Proxies


@contextmanager
def server(*answers: bytes) -> Iterator[int]:
    """Accepts one connection for each answer, reads once, sends the answer, and closes the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            for answer in answers:
                connection, _ = listening.accept()
                with connection:
                    connection.recv(100)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(5)
        assert not thread.is_alive()


@contextmanager
def running_proxies() -> Iterator[Proxies]:
    proxies = Proxies()
    try:
        yield proxies
    finally:
        proxies.close()
        gc.collect()


@pytest.mark.parametrize(
    "answer", [b"", b"S", b"S" + b"not a handshake" * 10, b"N"], ids=["nothing", "agreed", "nonsense", "refused"]
)
def test_a_server_that_closes_before_tls_is_established(tmp_path: Path, answer: bytes) -> None:
    authority = Certificates(tmp_path)
    with server(answer) as port, running_proxies() as proxies:
        proxy = proxies.frame_proxy(port, authority.server("postgres"), authority.ca_file, postgres=True)
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=60) as client:
            client.sendall(SSL_REQUEST)
            while receive(client):
                client.sendall(b"no handshake")


def test_clients_are_disconnected_when_the_proxies_close() -> None:
    with ExitStack() as clients:
        with running_proxies() as proxies, server() as port:
            proxy = proxies.proxy("amqp", port)
            proxy.black_hole()
            address = ("127.0.0.1", proxy.port)
            connected = [clients.enter_context(socket.create_connection(address, timeout=60)) for _ in range(20)]
            for client in connected:
                client.sendall(b"hello")
        assert [receive(client) for client in connected] == [b""] * 20


def receive(client: socket.socket) -> bytes:
    """Return the bytes of the other end, or none if it has closed or reset the connection."""
    try:
        return client.recv(100)
    except ConnectionResetError:
        return b""
