"""Lines leave no connection open, whatever the two ends do: pytest makes a failure of each that is found unclosed."""

import gc
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from devtools.servers.credentials import Certificates
from faults.proxy import SSL_REQUEST, Lines


@contextmanager
def server(*answers: bytes) -> Iterator[int]:
    """Takes one connection after another, says one of the answers to what it hears, and hangs up."""
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
def lines() -> Iterator[Lines]:
    own = Lines()
    try:
        yield own
    finally:
        own.close()
        gc.collect()


@pytest.mark.parametrize(
    "answer", [b"", b"S", b"S" + b"not a handshake" * 10, b"N"], ids=["nothing", "agreed", "nonsense", "refused"]
)
def test_a_server_that_hangs_up_before_tls_stands(tmp_path: Path, answer: bytes) -> None:
    authority = Certificates(tmp_path)
    with server(answer) as port, lines() as own:
        line = own.open_line(port, authority.server("postgres"), authority, "postgres")
        with socket.create_connection(("127.0.0.1", line.port), timeout=60) as client:
            client.sendall(SSL_REQUEST)
            while heard(client):
                client.sendall(b"no handshake")


def test_clients_that_are_there_when_it_closes() -> None:
    with ExitStack() as clients:
        with lines() as own, server() as port:
            line = own.line("amqp", port)
            line.black_hole()
            connected = [
                clients.enter_context(socket.create_connection(("127.0.0.1", line.port), timeout=60)) for _ in range(20)
            ]
            for client in connected:
                client.sendall(b"hello")
        assert [heard(client) for client in connected] == [b""] * 20


def heard(client: socket.socket) -> bytes:
    """What the other end said before it hung up."""
    try:
        return client.recv(100)
    except ConnectionResetError:
        return b""
