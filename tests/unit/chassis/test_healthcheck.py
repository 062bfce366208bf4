"""What Docker asks of a process, and what it reads in `docker inspect` when it is not ready."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from services.shared.chassis import healthcheck


@pytest.mark.parametrize(("code", "text", "exit_code"), [(200, "[+] database\n", 0), (503, "[-] database: away\n", 1)])
def test_it_is_ready_when_the_process_says_so(
    code: int, text: str, exit_code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(code)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        monkeypatch.setenv("WARREN_METRICS_PORT", str(server.server_port))
        assert healthcheck.main() == exit_code
        thread.join()
    assert asked == ["/readyz?verbose"]
    assert capsys.readouterr().out == text


def test_a_process_that_does_not_answer_is_not_ready(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        port = taken.getsockname()[1]
        monkeypatch.setenv("WARREN_METRICS_PORT", str(port))
        assert healthcheck.main() == 1
    assert capsys.readouterr().out.startswith(f"no answer at port {port}: ")
