"""Docker's health check prints the readiness of the process and exits accordingly."""

import socket

import pytest

from services.shared.chassis import healthcheck
from tests.stub_server import StubRequest, stub_server


@pytest.mark.parametrize(("code", "text", "exit_code"), [(200, "[+] database\n", 0), (503, "[-] database: away\n", 1)])
def test_the_exit_code_follows_readyz(
    code: int, text: str, exit_code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = []

    def respond(request: StubRequest) -> tuple[int, str]:
        paths.append(request.path)
        return code, text

    with stub_server(respond) as url:
        monkeypatch.setenv("WARREN_METRICS_PORT", url.rpartition(":")[2])
        assert healthcheck.main() == exit_code
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
