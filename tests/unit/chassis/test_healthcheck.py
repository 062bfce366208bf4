"""Docker's health check prints the readiness of the process and exits accordingly."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from services.shared.chassis import healthcheck


@pytest.mark.parametrize(("code", "text", "exit_code"), [(200, "[+] database\n", 0), (503, "[-] database: away\n", 1)])
def test_the_exit_code_follows_readyz(
    code: int, text: str, exit_code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
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
    assert paths == ["/readyz?verbose"]
    assert capsys.readouterr().out == text


def test_a_process_that_does_not_answer_is_not_ready(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # but does not listen
        port = taken.getsockname()[1]
        monkeypatch.setenv("WARREN_METRICS_PORT", str(port))
        assert healthcheck.main() == 1
    assert capsys.readouterr().out.startswith(f"no answer at port {port}: ")
